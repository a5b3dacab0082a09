//! Hostile bytes, at the places where bytes from a network are looked at: frames, the cursor, the translation of requests and
//! responses of every api, the walkers of large Fetch responses and Produce requests, and a whole session.
//!
//! A target is a plain function of bytes: it panics when something that must hold does not. libFuzzer can drive it (see `fuzz/`), and
//! so does the driver here, on any compiler and by seed: it makes inputs that are valid, with odd values, and then damages them.

mod driver;
mod input;
mod make;
mod messages;
mod session;
mod streams;
mod wire;
mod world;

pub use driver::{Options, USAGE, run};

use crate::rng::Rng;

/// One place to attack.
pub struct Target {
    /// Its name on the command line, and of its directory in the corpus.
    pub name: &'static str,
    /// Takes any bytes. Panics when an invariant is broken.
    pub run: fn(&[u8]),
    make: fn(&mut Rng) -> Vec<u8>,
}

impl Target {
    /// The input of a run: the same for the same seed, in every build.
    pub fn input(&self, seed: u64) -> Vec<u8> {
        let mut rng = Rng::new(seed);
        let mut input = (self.make)(&mut rng);
        make::damage(&mut input, &mut rng);
        input
    }
}

/// All targets.
pub static TARGETS: [Target; 7] = [
    Target { name: "frame", run: wire::frame, make: wire::make_frame },
    Target { name: "cursor", run: wire::cursor, make: wire::make_body },
    Target { name: "request", run: messages::request, make: messages::make_request },
    Target { name: "response", run: messages::response, make: messages::make_response },
    Target { name: "fetch", run: streams::fetch, make: streams::make_fetch },
    Target { name: "produce", run: streams::produce, make: streams::make_produce },
    Target { name: "session", run: session::run, make: session::make },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Runs the target of that name.
///
/// # Panics
/// When something that must hold does not, or there is no such target.
pub fn attack(name: &str, data: &[u8]) {
    match target(name) {
        Some(target) => (target.run)(data),
        None => panic!("no fuzz target {name}"),
    }
}
