//! At a fixed rate, whatever the answers do: a request is late from the moment when it was due, not from when it was sent,
//! so that a stall counts for everything that it held up.

use std::io::Write;
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::super::client::{Client, check, number};
use super::super::proc::{self, Usage};
use super::{Measured, Shape, Target, WARM_UP};

const STACK: usize = 128 << 10;
/// As exact as the kernel can wake a thread; 50 µs is the default.
const TIMER_SLACK: Option<NonZeroU64> = NonZeroU64::new(1);

/// A connection of which the sender has one half.
struct Line {
    stream: TcpStream,
    due: Sender<Instant>,
}

pub(super) fn run(target: &Target, shape: Shape, connections: usize) -> Result<Measured, String> {
    let clients = (0..connections).map(|_| open(target, shape)).collect::<Result<Vec<_>, _>>()?;
    let mut frame = clients.first().map(|(_, frame)| frame.clone()).ok_or("no connection")?;
    thread::scope(|scope| {
        let (mut lines, mut readers) = (Vec::new(), Vec::new());
        for (client, _) in clients {
            let (due, answers) = channel();
            lines.push(Line { stream: client.sender()?, due });
            let reader = thread::Builder::new().stack_size(STACK);
            let reader = reader.spawn_scoped(scope, move || receive(client, &answers));
            readers.push(reader.map_err(|e| format!("a thread: {e}"))?);
        }
        let sent = send(target, &mut lines, &mut frame);
        // Without their senders the readers end after the last answer; those that failed have ended already.
        let streams: Vec<TcpStream> = lines.into_iter().map(|line| line.stream).collect();
        let mut latencies = Vec::new();
        for reader in readers {
            let (part, client) = reader.join().map_err(|_| "a reader panicked".to_owned())??;
            latencies.extend(part);
            drop(client);
        }
        drop(streams);
        let (begun, elapsed, usage) = sent?;
        let mut counted: Vec<u64> = latencies
            .into_iter()
            .filter(|(due, _)| *due >= begun)
            .map(|(_, took)| u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))
            .collect();
        counted.sort_unstable();
        let requests = counted.len() as u64;
        Ok(Measured {
            seconds: elapsed.as_secs_f64(),
            bytes: requests * frame.len() as u64,
            requests,
            usage,
            latencies: counted,
            held: None,
        })
    })
}

fn open(target: &Target, shape: Shape) -> Result<(Client, Vec<u8>), String> {
    let mut client = Client::small(target.address)?;
    let frame = shape.begin(&mut client, target)?;
    client.send(&frame)?;
    check(&client.receive_whole(shape.api)?)?;
    Ok((client, frame))
}

/// Sends on the connections in turn; returns when the measured part began, how long it was and what it used.
fn send(
    target: &Target,
    lines: &mut [Line],
    frame: &mut [u8],
) -> Result<(Instant, Duration, Option<Usage>), String> {
    // Where it is not allowed all subjects are measured with the same error.
    let _ = rustix::thread::set_current_timer_slack(TIMER_SLACK);
    let gap = Duration::from_secs(1) / target.rate;
    let mut due = Instant::now();
    let mut correlation = 0;
    let count = lines.len();
    let mut until = |end: Instant| {
        while due < end {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let line = &mut lines[correlation % count];
            number(frame, i32::try_from(correlation).unwrap_or(0));
            correlation += 1;
            line.due.send(due).map_err(|_| "a connection has failed".to_owned())?;
            line.stream.write_all(frame).map_err(|e| format!("sending: {e}"))?;
            due += gap;
        }
        Ok::<Instant, String>(due)
    };
    let begun = until(Instant::now() + WARM_UP)?;
    target.pid.inspect(|pid| proc::reset_peak(*pid));
    let before = target.usage()?;
    let end = until(begun + target.length)?;
    let usage = target.usage()?.zip(before).map(|(after, before)| after.since(&before));
    Ok((begun, end - begun, usage))
}

type Answered = Vec<(Instant, Duration)>;

/// The answers come in the order of the requests.
fn receive(mut client: Client, due: &Receiver<Instant>) -> Result<(Answered, Client), String> {
    let mut answered = Vec::new();
    while let Ok(due) = due.recv() {
        client.receive()?;
        answered.push((due, due.elapsed()));
    }
    Ok((answered, client))
}
