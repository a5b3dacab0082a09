//! Threads that connections live on, one for each core, each with a runtime of its own.
//!
//! ```text
//!  acceptor ─▶ the first thread that has few, else the one that has fewest ─▶ connection, its brokers, its alarms
//!                                                  ▲                              │ at rest, its thread has much to do
//!                                                  └── the one with least to do ◀─┘ and another has little
//! ```
//!
//! A runtime that shares its tasks among threads wakes a second thread for every burst of events, to look whether there is something to
//! take over. For requests of some hundred bytes that costs more than the work. For the same reason few connections are kept together:
//! a thread that serves several is woken less often for each, and what they share stays in the caches of one core. Once they make it
//! work for most of the time they move apart, one after the other.

use pointsman_core::Now;
use std::{
    io,
    num::NonZero,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{net::TcpStream, runtime};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

/// Connections that a thread gets before the next one gets any: about those of one application to a few brokers.
const TOGETHER: usize = 8;
/// How often it is looked how much the threads have to do, at most: one connection moves at a time.
const LOOK: Duration = Duration::from_millis(50);
/// A connection that has moved stays for so long, so that a busy one does not go to and fro: then others make room for it.
const STAY: Duration = Duration::from_secs(10);

/// The threads. They end with this, and what runs on them too.
pub(crate) struct Workers {
    crew: Arc<Crew>,
    _ends: DropGuard,
}

/// What places know of the threads.
#[derive(Default)]
struct Crew {
    workers: Vec<Worker>,
    /// When to look next, in nanoseconds of [`Now`].
    next_look: AtomicU64,
    looked: Mutex<Looked>,
    restless: AtomicBool,
    /// How often a connection has gone to another thread.
    moves: AtomicU64,
}

struct Worker {
    handle: runtime::Handle,
    connections: AtomicUsize,
}

/// What was seen when the threads were looked at last.
#[derive(Default)]
struct Looked {
    at: Now,
    /// For how long each of them has been busy, in all.
    busy: Vec<Duration>,
}

/// What a thread has to do.
#[derive(Debug, Clone, Copy)]
struct Load {
    connections: usize,
    /// Of the time since the last look, how much it was busy.
    busy: Duration,
}

/// A place on a thread, taken by a connection until it is dropped.
pub(crate) struct Place {
    crew: Arc<Crew>,
    number: usize,
    /// It is kept until then.
    stays: Now,
}

impl Workers {
    /// One thread for each core. Must be called within a runtime, which serves alone if there can be no threads.
    pub(crate) fn start() -> Self {
        let end = CancellationToken::new();
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let started: io::Result<Vec<Worker>> = (0..cores).map(|core| Worker::start(core, &end)).collect();
        let workers = started.unwrap_or_else(|error| {
            warn!(%error, "cannot start a thread for each core; connections share those of the control plane");
            vec![Worker::new(runtime::Handle::current())]
        });
        Self { crew: Arc::new(Crew { workers, ..Crew::default() }), _ends: end.drop_guard() }
    }

    /// A place for a connection that can move later: on the first thread that has few, else where there are fewest.
    pub(crate) fn place(&self) -> Place {
        self.crew.place(TOGETHER - 1)
    }

    /// A place for one that stays where it is: where there are fewest.
    pub(crate) fn fixed_place(&self) -> Place {
        self.crew.place(0)
    }

    /// From now on connections move whenever they can.
    pub(crate) fn set_restless(&self) {
        self.crew.restless.store(true, Ordering::Relaxed);
    }

    /// How often connections have gone to another thread.
    pub(crate) fn moves(&self) -> u64 {
        self.crew.moves.load(Ordering::Relaxed)
    }
}

impl Crew {
    /// Where there are fewest connections, and up to `few` are as good as none.
    fn place(self: &Arc<Self>, few: usize) -> Place {
        let load = |worker: &Worker| worker.connections.load(Ordering::Relaxed).max(few);
        let number = (0..self.workers.len()).min_by_key(|number| load(&self.workers[*number])).unwrap_or(0);
        self.place_on(number, Now::ZERO)
    }

    fn place_on(self: &Arc<Self>, number: usize, stays: Now) -> Place {
        self.workers[number].connections.fetch_add(1, Ordering::Relaxed);
        Place { crew: self.clone(), number, stays }
    }

    /// What the threads have had to do since the last look, and how long ago that was; none before it is time again.
    fn look(&self, now: Now) -> Option<(Duration, Vec<Load>)> {
        if u128::from(self.next_look.load(Ordering::Relaxed)) > now.as_nanos() {
            return None;
        }
        let mut looked = self.looked.try_lock().ok()?;
        let next = u64::try_from((now + LOOK).as_nanos()).unwrap_or(u64::MAX);
        self.next_look.store(next, Ordering::Relaxed);
        let busy: Vec<Duration> =
            self.workers.iter().map(|w| w.handle.metrics().worker_total_busy_duration(0)).collect();
        let before = looked.busy.iter().copied().chain(std::iter::repeat(Duration::ZERO));
        let load = |((worker, busy), before): ((&Worker, &Duration), Duration)| Load {
            connections: worker.connections.load(Ordering::Relaxed),
            busy: busy.saturating_sub(before),
        };
        let loads = self.workers.iter().zip(&busy).zip(before).map(load).collect();
        let since = now.saturating_sub(looked.at);
        *looked = Looked { at: now, busy };
        Some((since, loads))
    }
}

/// The thread to move to from the thread `own`, which was busy for most of the time `since` the last look and has other connections
/// too. With the one that moves it still has fewer connections than this one has now, or less to do.
fn better(own: usize, since: Duration, loads: &[Load]) -> Option<usize> {
    let here = loads.get(own).filter(|here| here.connections > 1 && here.busy * 2 > since)?;
    let share = here.busy / u32::try_from(here.connections).unwrap_or(u32::MAX);
    let has_fewer = |load: &Load| load.connections + 1 < here.connections;
    let does_less = |load: &Load| load.busy + share < here.busy;
    let suit = loads.iter().enumerate().filter(|(_, load)| has_fewer(load) || does_less(load));
    suit.min_by_key(|(_, load)| (load.busy, load.connections)).map(|(number, _)| number)
}

impl Worker {
    fn new(handle: runtime::Handle) -> Self {
        Self { handle, connections: AtomicUsize::new(0) }
    }

    fn start(core: usize, end: &CancellationToken) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let worker = Self::new(runtime.handle().clone());
        let end = end.clone();
        let run = move || runtime.block_on(end.cancelled());
        thread::Builder::new().name(format!("connections-{core}")).spawn(run)?;
        Ok(worker)
    }
}

impl Place {
    pub(crate) fn handle(&self) -> &runtime::Handle {
        &self.crew.workers[self.number].handle
    }

    /// The socket, with its events on this thread.
    pub(crate) fn take(&self, stream: TcpStream) -> io::Result<TcpStream> {
        let stream = stream.into_std()?;
        let _on_it = self.handle().enter();
        TcpStream::from_std(stream)
    }

    /// A place on a thread that has less to do, if this one has much. It takes little time to ask.
    pub(crate) fn better(&self, now: Now) -> Option<Place> {
        let threads = self.crew.workers.len();
        let (number, stays) = if threads == 1 {
            return None;
        } else if self.crew.restless.load(Ordering::Relaxed) {
            ((self.number + 1) % threads, now)
        } else if now < self.stays {
            return None;
        } else {
            let (since, loads) = self.crew.look(now)?;
            (better(self.number, since, &loads)?, now + STAY)
        };
        self.crew.moves.fetch_add(1, Ordering::Relaxed);
        Some(self.crew.place_on(number, stays))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crew.workers[self.number].connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: Duration = Duration::from_millis(100);

    fn loads(workers: &Workers) -> Vec<usize> {
        workers.crew.workers.iter().map(|w| w.connections.load(Ordering::Relaxed)).collect()
    }

    fn busy<const N: usize>(of: [(usize, u64); N]) -> Vec<Load> {
        of.map(|(connections, ms)| Load { connections, busy: Duration::from_millis(ms) }).to_vec()
    }

    #[tokio::test]
    async fn few_connections_are_kept_together_and_many_are_spread_evenly() {
        let workers = Workers::start();
        let cores = workers.crew.workers.len();
        let mut places: Vec<Place> = (0..TOGETHER).map(|_| workers.place()).collect();
        assert_eq!((loads(&workers)[0], loads(&workers).iter().sum::<usize>()), (TOGETHER, TOGETHER));
        places.extend((TOGETHER..(TOGETHER + 3) * cores).map(|_| workers.place()));
        assert_eq!(loads(&workers), vec![TOGETHER + 3; cores]);
        drop(places);
        assert_eq!(loads(&workers), vec![0; cores]);
    }

    #[tokio::test]
    async fn those_that_cannot_move_are_spread_evenly() {
        let workers = Workers::start();
        let cores = workers.crew.workers.len();
        let _places: Vec<Place> = (0..3 * cores).map(|_| workers.fixed_place()).collect();
        assert_eq!(loads(&workers), vec![3; cores]);
    }

    #[test]
    fn a_connection_leaves_a_thread_that_is_busy_for_one_that_is_not() {
        assert_eq!(better(0, SINCE, &busy([(2, 80), (9, 30), (3, 10)])), Some(2));
        assert_eq!(
            better(0, SINCE, &busy([(3, 100), (1, 100)])),
            Some(1),
            "both are busy: as many here as there"
        );
        assert_eq!(better(0, SINCE, &busy([(3, 100), (1, 50)])), Some(1));
        assert_eq!(better(0, SINCE, &busy([(1, 80), (0, 0)])), None, "it has the thread for itself");
        assert_eq!(better(0, SINCE, &busy([(2, 40), (0, 0)])), None, "there is time left");
        assert_eq!(better(0, SINCE, &busy([(2, 80), (2, 60)])), None, "the other would have more to do");
        assert_eq!(better(1, SINCE, &busy([(2, 80), (0, 0)])), None, "another thread's connections");
    }

    #[tokio::test]
    async fn places_move_from_a_thread_that_has_been_busy_since_the_last_look() {
        let workers = Workers::start();
        let crew = &workers.crew;
        if crew.workers.len() == 1 {
            return;
        }
        let places = [workers.place(), workers.place()];
        let began = Duration::from_secs(3600);
        assert!(places[0].better(began).is_none(), "an hour of little work");
        let busy = || crew.workers[0].handle.metrics().worker_total_busy_duration(0);
        let enough = busy() + LOOK * 4 / 5;
        for _ in 0..100_000 {
            if busy() > enough {
                break;
            }
            let work = async { (0..50_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n)) };
            places[0].handle().spawn(work).await.expect("the thread works");
        }
        let moved = places[0].better(began + LOOK).expect("a thread with nothing to do");
        assert_ne!(moved.number, 0);
        assert!(places[1].better(began + LOOK).is_none(), "one at a time");
        assert_eq!((workers.moves(), moved.stays), (1, began + LOOK + STAY));
        assert!(moved.better(began + LOOK * 2).is_none(), "it stays");
    }

    #[tokio::test]
    async fn threads_are_looked_at_now_and_then() {
        let workers = Workers::start();
        let at = |ms| workers.crew.look(Duration::from_millis(ms)).map(|(since, _)| since.as_millis());
        assert_eq!([at(1000), at(1020), at(1060)], [Some(1000), None, Some(60)]);
    }

    #[tokio::test]
    async fn what_runs_on_them_ends_with_them() {
        let workers = Workers::start();
        let (alive, told) = tokio::sync::oneshot::channel::<()>();
        workers.place().handle().spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        drop(workers);
        assert!(told.await.is_err(), "the task was dropped");
    }
}
