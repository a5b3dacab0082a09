//! Connecting to a broker: the name is resolved anew each time, every address is tried, and the last good answer helps out.

use crate::socket;
use pointsman_core::{config::Address, limits, signal::Failure};
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// The last good answers of the resolver, by host name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    last_good: Mutex<HashMap<String, Vec<IpAddr>>>,
}

impl Names {
    async fn resolve(&self, address: &Address) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = address.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, address.port)]);
        }
        match lookup_host((&*address.host, address.port)).await.map(Iterator::collect::<Vec<_>>) {
            Ok(found) if !found.is_empty() => {
                let ips = found.iter().map(SocketAddr::ip).collect();
                self.last_good
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(address.host.to_string(), ips);
                Ok(found)
            }
            failed => {
                let table = self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(ips) = table.get(&*address.host) else {
                    return Err(failed.err().unwrap_or_else(|| io::Error::other("the name has no address")));
                };
                Ok(ips.iter().map(|ip| SocketAddr::new(*ip, address.port)).collect())
            }
        }
    }

    /// A connection to the first address that takes one.
    pub(crate) async fn dial(&self, address: &Address) -> io::Result<TcpStream> {
        self.dial_within(address, limits::CONNECT_TIMEOUT).await
    }

    /// The same with a deadline of one's own.
    pub(crate) async fn dial_within(&self, address: &Address, limit: Duration) -> io::Result<TcpStream> {
        let connect = async {
            let mut last = io::Error::other("the name has no address");
            for address in self.resolve(address).await? {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        socket::tune(&stream)?;
                        return Ok(stream);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        timeout(limit, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The kind of failure that an error of a connection is.
pub(crate) fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::TimedOut => Failure::Timeout,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            Failure::Reset
        }
        _ => Failure::Other,
    }
}
