//! A moment of the demo for pictures and tests: shortly after a failover. Its numbers are made up, not measured.

use super::{
    history::History,
    model::{Broker, BrokerId, BrokerState, Client, ClientKind, Cluster, Event, Model, Slot, Switch},
};
use crate::screen::events::EventKind;
use std::time::Duration;

/// Times and figures are those of one run of the story on the sandbox: two brokers die, the third one, the secondary serves.
const MINORITY: u64 = 16_000;
const KILLED: u64 = 21_000;
const SWITCHED: u64 = 21_070;
const SERVED: u64 = 21_485;
const NOW: u64 = 25_300;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Three of the primary's five brokers are dead, and the secondary serves.
pub(super) fn model() -> Model {
    Model {
        now: ms(NOW),
        join: "127.0.0.1:9092".into(),
        admin: "127.0.0.1:9901".into(),
        topic: "demo".into(),
        caption: "The secondary serves; no client was told anything. Press a to bring all back.".into(),
        generation: 7,
        registries: false,
        connections: 31,
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
            reason: "primary lost quorum: 2 of 5 brokers are healthy, 3 needed".into(),
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
        brokers: (1..).zip(brokers).map(|(node, (state, leads))| Broker { node, state, leads }).collect(),
    };
    let dead = || (Killed, vec![]);
    let alive = |leads: &[u32]| (Up, leads.to_vec());
    vec![
        cluster("primary", false, 3, vec![dead(), dead(), dead(), alive(&[3]), alive(&[4])]),
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
        client("producer-1", ClientKind::Producer, 100, 2_350, 61),
        client("producer-2", ClientKind::Producer, 100, 2_350, 60),
        client("consumer", ClientKind::Consumer { lag: 0 }, 200, 4_920, 60),
    ]
}

fn history() -> History {
    let mut history = History::default();
    for at in (1_000..NOW).step_by(100) {
        // Partitions that lost two of three replicas wait for the switch, and come with it.
        let records = match at {
            MINORITY..KILLED => 9 + noise(at) % 3,
            KILLED..SWITCHED => 1,
            SWITCHED..SERVED => 14 + noise(at) % 9,
            _ => 19 + noise(at) % 3,
        };
        history.add(ms(at), usize::from(at >= SWITCHED), records);
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
        event(14_010, EventKind::Note, "steady traffic on every partition, served by the primary"),
        event(MINORITY, EventKind::Fault, "primary brokers 1 and 2 killed"),
        event(KILLED, EventKind::Fault, "primary broker 3 killed"),
        event(
            SWITCHED,
            EventKind::Switch,
            "to the secondary: primary lost quorum: 2 of 5 brokers are healthy, 3 needed",
        ),
        event(SERVED, EventKind::Recovery, "every partition is acknowledged again, 485 ms later"),
    ]
}
