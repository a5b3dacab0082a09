//! An ideal TCP switch: the best that can be done without speaking Kafka, as the floor to compare with.
//!
//! One listening port per broker. It asks every broker of the primary for metadata every 50 ms; when the majority
//! is gone, every connection is closed at once and new ones go to the secondary; back after `hold`. It knows no
//! topic, no node and no request, and needs clusters that advertise its ports.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::kafka::node_ids;

const PROBE_INTERVAL: Duration = Duration::from_millis(50);
/// A refused connection tells at once; silence only after this long, for on a busy machine a live broker is slow.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A running switch; dropping it closes everything.
#[derive(Debug)]
pub(super) struct TcpSwitch {
    shared: Arc<Shared>,
    acceptors: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    ports: Vec<SocketAddr>,
    clusters: [Vec<SocketAddr>; 2],
    healthy: Vec<AtomicBool>,
    state: Mutex<State>,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    active: usize,
    connections: Vec<[TcpStream; 2]>,
}

impl TcpSwitch {
    /// Listens on `ports` for the brokers of `primary`, with `secondary` in reserve.
    pub(super) fn start(
        ports: &[SocketAddr],
        primary: Vec<SocketAddr>,
        secondary: Vec<SocketAddr>,
        hold: Duration,
    ) -> io::Result<Self> {
        let listeners: Vec<TcpListener> = ports.iter().map(TcpListener::bind).collect::<io::Result<_>>()?;
        let shared = Arc::new(Shared {
            ports: ports.to_vec(),
            healthy: primary.iter().map(|_| AtomicBool::new(true)).collect(),
            clusters: [primary, secondary],
            state: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accept = |(index, listener)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.accept(index, &listener))
        };
        let acceptors = listeners.into_iter().enumerate().map(accept).collect();
        for broker in 0..shared.healthy.len() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.probe(broker));
        }
        let decider = Arc::clone(&shared);
        thread::spawn(move || decider.decide(hold));
        Ok(Self { shared, acceptors })
    }
}

impl Drop for TcpSwitch {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.switch_to(0);
        for port in &self.shared.ports {
            // Wakes the accepting thread, which then sees the end.
            let _ = TcpStream::connect_timeout(port, CONNECT_TIMEOUT);
        }
        for acceptor in self.acceptors.drain(..) {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn running(&self) -> bool {
        !self.ended.load(Ordering::SeqCst)
    }

    fn accept(self: &Arc<Self>, index: usize, listener: &TcpListener) {
        for client in listener.incoming() {
            if !self.running() {
                return;
            }
            if let Ok(client) = client {
                let shared = Arc::clone(self);
                thread::spawn(move || drop(shared.serve(index, &client)));
            }
        }
    }

    fn serve(&self, index: usize, client: &TcpStream) -> io::Result<()> {
        let active = self.lock().active;
        let brokers = &self.clusters[active];
        let upstream = TcpStream::connect_timeout(&brokers[index % brokers.len()], CONNECT_TIMEOUT)?;
        client.set_nodelay(true)?;
        upstream.set_nodelay(true)?;
        if !self.register(active, client, &upstream)? {
            return Ok(());
        }
        let (from, to) = (client.try_clone()?, upstream.try_clone()?);
        thread::spawn(move || pump(&from, &to));
        pump(&upstream, client);
        Ok(())
    }

    /// Whether the connection may live: a switch that came in between ends it.
    fn register(&self, chosen: usize, client: &TcpStream, upstream: &TcpStream) -> io::Result<bool> {
        let pair = [client.try_clone()?, upstream.try_clone()?];
        let mut state = self.lock();
        // Ended pairs have no peer any more.
        state.connections.retain(|[client, _]| client.peer_addr().is_ok());
        if state.active != chosen {
            return Ok(false);
        }
        state.connections.push(pair);
        Ok(true)
    }

    fn probe(&self, broker: usize) {
        let address = self.clusters[0][broker];
        while self.running() {
            let begun = Instant::now();
            self.healthy[broker].store(node_ids(address, PROBE_TIMEOUT).is_ok(), Ordering::SeqCst);
            thread::sleep(PROBE_INTERVAL.saturating_sub(begun.elapsed()));
        }
    }

    fn decide(&self, hold: Duration) {
        let mut well_since = None;
        while self.running() {
            let healthy = self.healthy.iter().filter(|h| h.load(Ordering::SeqCst)).count();
            let quorum = healthy > self.healthy.len() / 2;
            let active = self.lock().active;
            well_since = if quorum { well_since.or(Some(Instant::now())) } else { None };
            if active == 0 && !quorum {
                self.switch_to(1);
            } else if active == 1 && well_since.is_some_and(|since| since.elapsed() >= hold) {
                self.switch_to(0);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn switch_to(&self, cluster: usize) {
        let mut state = self.lock();
        state.active = cluster;
        for stream in state.connections.drain(..).flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies one way until either side ends, then ends both.
fn pump(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
