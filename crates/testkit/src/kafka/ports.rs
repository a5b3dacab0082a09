//! Ports that stay free while their broker is dead.
//!
//! A broker is killed and started again on the same port, so the port must not be one that the system hands to
//! outgoing connections in between. They are taken below the usual ephemeral range, never twice in a process.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Mutex;

const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

/// `count` consecutive free ports on 127.0.0.1, not given out before by this process.
pub fn free_ports(count: u16) -> Result<Vec<u16>, String> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut at = start();
    for _ in 0..COUNT {
        let range: Vec<u16> = (0..count).map(|i| FIRST + (at + i) % COUNT).collect();
        let consecutive = range.windows(2).all(|w| w[1] == w[0] + 1);
        if consecutive && range.iter().all(|p| !given.contains(p) && is_free(*p)) {
            given.extend(&range);
            return Ok(range);
        }
        at = (at + count) % COUNT;
    }
    Err(format!("no {count} consecutive free ports from {FIRST}"))
}

/// Processes that run at once begin at different places.
fn start() -> u16 {
    let spread = std::process::id().wrapping_mul(0x9E37_79B9) >> 16;
    u16::try_from(spread % u32::from(COUNT)).unwrap_or(0)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::free_ports;

    #[test]
    fn ports_are_given_once() {
        let (a, b) = (free_ports(5).unwrap(), free_ports(5).unwrap());
        assert!(a.iter().all(|p| !b.contains(p)), "{a:?} {b:?}");
        assert_eq!(a[4], a[0] + 4);
    }
}
