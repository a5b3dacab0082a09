//! What goes in comes out: any sizes, both directions at once, and nothing is buffered without bound.

use crate::world::{DEADLINE, PRIMARY, World};
use pointsman_core::config::Passthrough;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A small deterministic generator (xorshift), so that a failure names its seed.
#[derive(Clone)]
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Small and large ones alike: each power of two is as likely as another.
    fn size(&mut self) -> usize {
        let bits = self.next() % 20;
        usize::try_from(1 + self.next() % (1 << bits)).expect("small")
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next().to_le_bytes()[2]).collect()
    }
}

async fn write(mut stream: impl AsyncWriteExt + Unpin, mut random: Seeded, total: usize) {
    let mut left = total;
    while left > 0 {
        let n = random.size().min(left);
        let bytes = random.bytes(n);
        stream.write_all(&bytes).await.expect("written");
        left -= n;
    }
    stream.shutdown().await.expect("it is open");
}

async fn check(mut stream: impl AsyncReadExt + Unpin, mut random: Seeded, total: usize, what: &str) {
    let mut left = total;
    while left > 0 {
        let n = random.size().min(left);
        let mut bytes = vec![0; n];
        stream.read_exact(&mut bytes).await.unwrap_or_else(|e| panic!("{what}: {left} bytes left: {e}"));
        assert!(bytes == random.bytes(n), "{what}: other bytes, {left} bytes before the end");
        left -= n;
    }
    assert_eq!(stream.read(&mut [0]).await.expect("an end"), 0, "{what}: more bytes than were sent");
}

async fn both_directions(client: TcpStream, broker: TcpStream, seed: u64, total: usize) {
    let ((cr, cw), (br, bw)) = (client.into_split(), broker.into_split());
    let (up, down) = (Seeded(seed), Seeded(seed ^ 0x5555_5555));
    let tasks = async {
        tokio::join!(
            write(cw, up.clone(), total),
            check(br, up, total, "to the broker"),
            write(bw, down.clone(), total / 2),
            check(cr, down, total / 2, "to the client"),
        )
    };
    timeout(DEADLINE, tasks).await.unwrap_or_else(|_| panic!("seed {seed} is not done in time"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_arrive_unchanged_in_any_sizes_and_both_directions_at_once() {
    let world = World::new([2, 1], Passthrough::default()).await;
    for seed in 1..=12 {
        let slot = usize::try_from(seed % 2).expect("small");
        let (client, broker) = world.pair(slot, PRIMARY).await;
        both_directions(client.0, broker.0, seed, 1 << (11 + seed)).await;
    }
    let up: u64 = (1..=12).map(|seed| 1_u64 << (11 + seed)).sum();
    assert_eq!((world.metrics.bytes_in.value(), world.metrics.bytes_out.value()), (up, up / 2));
}

#[tokio::test]
async fn a_slow_reader_holds_its_sender_back_and_nobody_else() {
    let world = World::new([1, 1], Passthrough::default()).await;
    let (mut slow, broker) = world.pair(0, PRIMARY).await;
    let (mut other, mut others) = world.pair(0, PRIMARY).await;

    // Fills everything there is: the broker's socket, Pointsman, the client's socket.
    let mut held = 0_u64;
    let chunk = vec![7; 64 << 10];
    let mut quiet = 0;
    while quiet < 20 {
        match broker.0.try_write(&chunk) {
            Ok(n) => (held, quiet) = (held + n as u64, 0),
            Err(_) => {
                quiet += 1;
                // Bytes still find their way into the kernel's buffers: a greeting is a round through Pointsman.
                other.greet(&mut others).await;
            }
        }
        assert!(held < 64 << 20, "{held} bytes are held for a client that does not read");
    }

    let all = slow.take(usize::try_from(held).expect("small")).await;
    assert!(all.iter().all(|b| *b == 7));
}
