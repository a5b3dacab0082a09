//! The floor: two loops that move bytes and understand nothing, as processes of their own so that they can be measured.
//!
//! A thread for each direction of each connection, blocking calls, nothing else: no proxy can do less.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, pipe, splice};

use super::options::Subject;

/// Bytes that the splicing loop moves by one call at most; also the size of its pipes.
const PIPE: usize = 1 << 20;
/// The buffer of the other.
const BUFFER: usize = 256 << 10;
const STACK: usize = 64 << 10;

/// Serves until the process is ended: `splice|copy LISTEN UPSTREAM`.
pub(super) fn main(args: &[String]) -> Result<(), String> {
    let [kind, listen, upstream] = args else {
        return Err("floor: expected splice|copy LISTEN UPSTREAM".into());
    };
    let address = |text: &str| text.parse::<SocketAddr>().map_err(|e| format!("floor: {text}: {e}"));
    let listener = TcpListener::bind(address(listen)?).map_err(|e| format!("floor: {listen}: {e}"))?;
    let upstream = address(upstream)?;
    let relay = match kind.parse()? {
        Subject::Splice => by_splice,
        Subject::Copy => by_copy,
        _ => return Err(format!("floor: {kind} is no loop")),
    };
    for client in listener.incoming() {
        // A broker that is not there ends the client's connection, no more.
        let _ = client.and_then(|client| connect(client, upstream, relay));
    }
    Ok(())
}

type Relay = fn(&TcpStream, &TcpStream) -> io::Result<()>;

fn connect(client: TcpStream, upstream: SocketAddr, relay: Relay) -> io::Result<()> {
    let broker = TcpStream::connect(upstream)?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (client, broker) = (Arc::new(client), Arc::new(broker));
    direction(Arc::clone(&client), Arc::clone(&broker), relay)?;
    direction(broker, client, relay)
}

fn direction(from: Arc<TcpStream>, to: Arc<TcpStream>, relay: Relay) -> io::Result<()> {
    let thread = thread::Builder::new().stack_size(STACK);
    let run = move || {
        // An end is an end, whatever its reason.
        let _ = relay(&from, &to);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    };
    thread.spawn(run).map(drop)
}

fn by_splice(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let (drain, fill) = pipe()?;
    // Where the system allows no larger pipe, the usual one does.
    let _ = fcntl_setpipe_size(&fill, PIPE);
    loop {
        let mut filled = splice(from, None, &fill, None, PIPE, SpliceFlags::MOVE)?;
        if filled == 0 {
            return Ok(());
        }
        while filled > 0 {
            filled -= splice(&drain, None, to, None, filled, SpliceFlags::MOVE)?;
        }
    }
}

fn by_copy(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            n => to.write_all(&buffer[..n])?,
        }
    }
}
