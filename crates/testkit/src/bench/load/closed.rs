//! As fast as it goes: each connection keeps so many requests under way.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::client::{Client, check, number};
use super::super::frames::PRODUCE;
use super::super::proc;
use super::{Measured, Shape, Target, WARM_UP};

const STACK: usize = 256 << 10;
/// How often it is looked whether a connection has failed.
const LOOK: Duration = Duration::from_millis(20);
/// Of so many answers to Produce one is looked at whole.
const DECODED: i32 = 16;

#[derive(Default)]
struct Counters {
    bytes: AtomicU64,
    requests: AtomicU64,
    stop: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Counters {
    fn failed(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn read(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.requests.load(Ordering::Relaxed))
    }
}

pub(super) fn run(
    target: &Target,
    shape: Shape,
    connections: usize,
    pipeline: usize,
) -> Result<Measured, String> {
    let counters = Counters::default();
    // The connections stay open until their use of the proxy has been read.
    let end = Barrier::new(connections + 1);
    let measured = thread::scope(|scope| {
        let mut started = 0;
        for _ in 0..connections {
            let work = || {
                let kept = repeat(target, shape, pipeline, &counters);
                if let Err(error) = &kept {
                    let mut failure = counters.failure.lock().unwrap_or_else(PoisonError::into_inner);
                    failure.get_or_insert_with(|| error.clone());
                }
                end.wait();
                drop(kept);
            };
            // Not to start a thread would leave the others waiting for it.
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).expect("a thread");
            started += 1;
        }
        debug_assert_eq!(started, connections, "every connection waits at the end");
        let measured = measure(target, &counters);
        counters.stop.store(true, Ordering::Relaxed);
        end.wait();
        measured
    });
    let failure = counters.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(measured, Err)
}

fn measure(target: &Target, counters: &Counters) -> Result<Measured, String> {
    pause(WARM_UP, counters);
    target.pid.inspect(|pid| proc::reset_peak(*pid));
    let before = (target.usage()?, counters.read(), Instant::now());
    pause(target.length, counters);
    let (after, counted, elapsed) = (target.usage()?, counters.read(), before.2.elapsed());
    Ok(Measured {
        seconds: elapsed.as_secs_f64(),
        bytes: counted.0 - before.1.0,
        requests: counted.1 - before.1.1,
        usage: after.zip(before.0).map(|(after, before)| after.since(&before)),
        ..Measured::default()
    })
}

/// The time of the measurement, or less when something has failed.
fn pause(length: Duration, counters: &Counters) {
    let end = Instant::now() + length;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || counters.failed() {
            return;
        }
        thread::sleep(left.min(LOOK));
    }
}

fn repeat(target: &Target, shape: Shape, pipeline: usize, counters: &Counters) -> Result<Client, String> {
    let mut client = Client::connect(target.address)?;
    let mut frame = shape.begin(&mut client, target)?;
    client.send(&frame)?;
    check(&client.receive_whole(shape.api)?)?;
    let (mut sent, mut answered) = (0, 0);
    while !counters.stop.load(Ordering::Relaxed) {
        while sent - answered < i32::try_from(pipeline).unwrap_or(1) {
            sent += 1;
            number(&mut frame, sent);
            client.send(&frame)?;
        }
        answered += 1;
        let len = answer(&mut client, shape, answered)?;
        let bytes = if shape.api == PRODUCE { frame.len() } else { len };
        counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        counters.requests.fetch_add(1, Ordering::Relaxed);
    }
    Ok(client)
}

/// Reads an answer. Not every one is decoded: that would measure the generator.
fn answer(client: &mut Client, shape: Shape, expected: i32) -> Result<usize, String> {
    if expected % DECODED == 0 && shape.api == PRODUCE {
        check(&client.receive_whole(PRODUCE)?)?;
        return Ok(0);
    }
    let head = client.receive()?;
    if head.correlation != expected {
        return Err(format!("an answer to request {}, expected {expected}", head.correlation));
    }
    // An answer without records has nothing to measure.
    if shape.api != PRODUCE && head.len < shape.size / 2 {
        return Err(format!("a Fetch answer of {} bytes, expected more", head.len));
    }
    Ok(head.len)
}
