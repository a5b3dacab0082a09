//! The copying fallback: what holds with pipes holds without them.

use super::*;
use std::{future::poll_fn, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

const DEADLINE: Duration = Duration::from_secs(30);

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (near, far) =
        tokio::join!(TcpStream::connect(listener.local_addr().expect("bound")), listener.accept());
    (near.expect("connects"), far.expect("accepts").0)
}

/// Two connections, and the direction from the first to the second.
struct Way {
    client: TcpStream,
    from: TcpStream,
    to: TcpStream,
    broker: TcpStream,
    pipes: Pipes,
    moved: Counter,
    direction: Direction,
}

impl Way {
    async fn new(pipes: Pipes) -> Self {
        let ((client, from), (to, broker)) = (pair().await, pair().await);
        let (moved, direction) = (Counter::default(), Direction::new(b"head".to_vec()));
        Self { client, from, to, broker, pipes, moved, direction }
    }

    fn advance(&mut self) -> Waits {
        self.direction.advance(&self.from, &self.to, &self.pipes, &self.moved).expect("both sides are open")
    }
}

/// A direction without pipes moves bytes as one with them does, and knows where it has them.
#[tokio::test]
async fn when_no_pipe_can_be_had_bytes_are_copied_unchanged_to_the_end() {
    let sent: Vec<u8> = (0..3_000_000).map(|n: u32| u8::try_from(n % 251).expect("small")).collect();
    for (pipes, copies) in [(Pipes::default(), false), (Pipes::exhausted(), true)] {
        let mut way = Way::new(pipes).await;
        let (mut writer, mut reader) = (way.client, way.broker);
        let write = async {
            writer.write_all(&sent).await.expect("written");
            writer.shutdown().await.expect("it is open");
        };
        let (from, to) = (way.from, way.to);
        let mut copied = false;
        let carry = async {
            loop {
                let waits = way.direction.advance(&from, &to, &way.pipes, &way.moved).expect("both are open");
                copied |= matches!(way.direction.held, Held::Copied(_));
                match waits {
                    Waits::Done => return,
                    waits => poll_fn(|cx| waits.poll(&from, &to, cx)).await.expect("ready"),
                }
            }
        };
        let mut received = Vec::new();
        let moving = async { tokio::join!(write, carry, reader.read_to_end(&mut received)).2 };
        let read = timeout(DEADLINE, moving).await.expect("in time");

        assert_eq!(read.expect("the end is passed on"), sent.len() + 4);
        assert!(received[..4] == *b"head" && received[4..] == sent[..], "other bytes");
        assert_eq!(way.moved.value(), received.len() as u64);
        assert_eq!(copied, copies);
    }
}

/// Memory is for bytes under way: a direction that waits for its source has none.
#[tokio::test]
async fn a_copying_direction_keeps_its_buffer_only_while_the_sink_is_slow() {
    let mut way = Way::new(Pipes::exhausted()).await;
    let chunk = vec![7; 64 << 10];
    let mut held = 0;
    let full = async {
        loop {
            let written = way.client.try_write(&chunk).unwrap_or(0);
            held += written;
            let waits = way.direction.advance(&way.from, &way.to, &way.pipes, &way.moved).expect("open");
            if written == 0 && waits == Waits::Sink {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, full).await.expect("the sink is full in time");
    assert!(matches!(way.direction.held, Held::Copied(_)));

    let mut received = vec![0; held + 4];
    let empty = async {
        let mut read = 0;
        while read < received.len() || way.advance() != Waits::Source {
            read += way.broker.try_read(&mut received[read..]).unwrap_or(0);
            let _ = way.advance();
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, empty).await.expect("the sink is empty in time");
    assert!(matches!(way.direction.held, Held::Nowhere), "an idle direction holds a buffer");
}
