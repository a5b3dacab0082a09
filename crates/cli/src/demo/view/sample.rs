//! A moment of the demo for pictures and tests: shortly after a failover. Its numbers are made up, not measured.

use super::{
    history::History,
    model::{
        Broker, BrokerId, BrokerState, Client, ClientKind, Cluster, Event, EventKind, Model, Slot, Switch,
    },
};
use std::time::Duration;

/// Time of the third kill, of the switch, and of the first acknowledgement by the secondary.
const KILLED: u64 = 66_210;
const SWITCHED: u64 = 66_480;
const SERVED: u64 = 66_840;
const NOW: u64 = 71_850;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Three of the primary's five brokers are dead, and the secondary serves.
pub(super) fn model() -> Model {
    Model {
        now: ms(NOW),
        join: "127.0.0.1:9092".into(),
        topic: "demo".into(),
        caption: "The secondary serves. Press a to bring the primary's brokers back: a failback follows."
            .into(),
        generation: 41,
        connections: 23,
        active: Some(1),
        clusters: clusters(),
        slots: slots(),
        clients: clients(),
        history: history(),
        events: events(),
        last_switch: Some(Switch {
            at: ms(SWITCHED),
            from: Some(0),
            to: Some(1),
            reason: "quorum lost".into(),
            took: Some(ms(SERVED - KILLED)),
        }),
    }
}

fn clusters() -> Vec<Cluster> {
    use BrokerState::{Killed, Up};
    let cluster = |name: &str, quorum, needed, brokers: Vec<(BrokerState, Vec<u32>)>| Cluster {
        name: name.into(),
        quorum,
        needed,
        brokers: (0..).zip(brokers).map(|(node, (state, leads))| Broker { node, state, leads }).collect(),
    };
    let dead = || (Killed, vec![]);
    let alive = |leads: &[u32]| (Up, leads.to_vec());
    vec![
        cluster("primary", false, 3, vec![dead(), dead(), dead(), alive(&[0, 3, 4]), alive(&[2, 5])]),
        cluster("secondary", true, 2, vec![alive(&[0, 3]), alive(&[1, 4]), alive(&[2, 5])]),
    ]
}

fn slots() -> Vec<Slot> {
    let slot = |(broker, port): (usize, u16)| Slot {
        port,
        broker: Some(BrokerId { cluster: 1, broker: broker % 3 }),
    };
    (0..).zip(9092..9097).map(slot).collect()
}

fn clients() -> Vec<Client> {
    let client = |name: &str, kind, rate, total, silence| Client {
        name: name.into(),
        kind,
        rate,
        total,
        errors: 0,
        silent: ms(14),
        longest_silence: ms(silence),
    };
    vec![
        client("producer-1", ClientKind::Producer, 1_004, 61_320, 598),
        client("producer-2", ClientKind::Producer, 998, 61_287, 630),
        client("consumer", ClientKind::Consumer { lag: 21 }, 2_001, 122_586, 684),
    ]
}

fn history() -> History {
    let mut history = History::default();
    for at in (49_000..NOW).step_by(100).filter(|at| !(KILLED..SERVED).contains(at)) {
        let cluster = usize::from(at >= SERVED);
        // What was buffered meanwhile comes at once.
        let burst = if (SERVED..SERVED + 300).contains(&at) { 170 } else { 0 };
        let wave = noise(at) % 41;
        history.add(ms(at), cluster, 182 + wave + burst);
    }
    history
}

/// The same for the same time.
fn noise(at: u64) -> u32 {
    let mixed = (at ^ 0x9E37).wrapping_mul(0x2545_F491_4F6C_DD1D);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    u32::try_from(mixed >> 40).expect("24 bits")
}

fn events() -> Vec<Event> {
    let event = |at, kind, text: &str| Event { at: ms(at), kind, text: text.into() };
    vec![
        event(3_120, EventKind::Note, "Pointsman serves the primary on 127.0.0.1:9092-9096"),
        event(58_040, EventKind::Fault, "primary broker 0 and broker 1 killed"),
        event(58_190, EventKind::Note, "Pointsman: primary has 3 of 5 brokers and keeps its quorum"),
        event(KILLED, EventKind::Fault, "primary broker 2 killed"),
        event(
            SWITCHED,
            EventKind::Switch,
            "Pointsman: primary → secondary, because primary lost its quorum (2 of 5, needs 3)",
        ),
        event(
            SERVED,
            EventKind::Recovery,
            "every partition is acknowledged again, by the secondary: 630 ms after the kill",
        ),
    ]
}
