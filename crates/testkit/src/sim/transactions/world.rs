//! Producers, Pointsman, two clusters, and the switches between requests and within them.

use super::{
    Summary,
    cluster::Cluster,
    pointsman::{Broken, Pointsman},
    producer::{Answer, Outcome, Producer},
};
use crate::rng::Rng;

/// Requests between two switches, at most.
const STAY: usize = 60;
/// Requests after the last one.
const QUIET: usize = 200;

pub(super) struct World {
    rng: Rng,
    clusters: [Cluster; 2],
    pointsman: Pointsman,
    producers: Vec<Producer>,
    /// How many transactions of each producer had ended at the last switch.
    ended: Vec<usize>,
}

impl World {
    pub(super) fn new(mut rng: Rng, broken: Broken) -> Self {
        let count = 1 + rng.below(3);
        let producers: Vec<_> =
            (0..count).map(|number| Producer::new(number, rng.chance(50), 1 + rng.below(4))).collect();
        let ended = vec![0; producers.len()];
        Self { rng, clusters: Default::default(), pointsman: Pointsman::new(broken), producers, ended }
    }

    pub(super) fn run(&mut self) {
        for _ in 0..1 + self.rng.below(5) {
            for _ in 0..self.rng.below(STAY) {
                self.request();
            }
            if self.rng.chance(30) {
                // Long enough for what hangs on the other cluster to time out.
                self.clusters[1 - self.active()].expire();
            }
            if self.rng.chance(60) {
                self.interrupted();
            } else {
                self.switch();
            }
        }
        self.ended = self.producers.iter().map(|p| p.outcomes.len()).collect();
        for _ in 0..QUIET {
            self.request();
        }
        for number in 0..self.producers.len() {
            for _ in 0..20 {
                if !self.producers[number].rests() {
                    self.step(number);
                }
            }
        }
        self.clusters[1 - self.active()].expire();
    }

    fn active(&self) -> usize {
        usize::from(!self.pointsman.term.is_multiple_of(2))
    }

    fn switch(&mut self) {
        self.pointsman.term += 1;
    }

    fn request(&mut self) {
        let number = self.rng.below(self.producers.len());
        self.step(number);
    }

    fn step(&mut self, number: usize) {
        let active = self.active();
        let producer = &mut self.producers[number];
        if producer.dead.is_none() {
            let ask = producer.next();
            let answer = self.pointsman.request(&mut self.clusters[active], number, producer.v2, ask);
            producer.answer(answer);
        }
    }

    /// A switch finds a request under way: it was carried out, or not, and the producer is told to send it again.
    fn interrupted(&mut self) {
        let (number, active) = (self.rng.below(self.producers.len()), self.active());
        let producer = &mut self.producers[number];
        if producer.dead.is_none() && self.rng.chance(50) {
            let ask = producer.next();
            self.pointsman.request(&mut self.clusters[active], number, producer.v2, ask);
        }
        self.switch();
        if self.producers[number].dead.is_none() {
            self.producers[number].answer(Answer::Again);
        }
    }

    pub(super) fn verdict(self) -> Result<Summary, Vec<String>> {
        let mut faults = Vec::new();
        let mut summary = Summary::default();
        let committed = [self.clusters[0].committed(), self.clusters[1].committed()];
        for (cluster, (_, hanging)) in committed.iter().enumerate() {
            if *hanging > 0 && cluster != self.active() {
                faults.push(format!("cluster {cluster}: {hanging} records wait for a marker"));
            }
        }
        for (number, producer) in self.producers.iter().enumerate() {
            if let Some(code) = producer.dead {
                faults.push(format!("producer {number} ended with error {code}"));
            } else if !producer.outcomes[self.ended[number]..].contains(&Outcome::Committed) {
                faults.push(format!("producer {number} commits nothing any more"));
            }
            for (transaction, outcome) in producer.outcomes.iter().enumerate() {
                let found: Vec<usize> = committed
                    .iter()
                    .map(|(records, _)| {
                        records.iter().filter(|r| (r.0, r.1) == (number, transaction)).count()
                    })
                    .collect();
                let whole = producer.records();
                let name = format!("producer {number}, transaction {transaction} ({outcome:?})");
                if found.iter().any(|n| *n != 0 && *n != whole) {
                    faults.push(format!("{name}: {found:?} of {whole} records are committed"));
                }
                match outcome {
                    Outcome::Committed => {
                        summary.committed += 1;
                        if !found.contains(&whole) {
                            faults.push(format!("{name} is nowhere"));
                        }
                    }
                    Outcome::Aborted if found.iter().any(|n| *n > 0) => {
                        faults.push(format!("{name} can be read"));
                    }
                    Outcome::Aborted | Outcome::Unsure => summary.aborted += 1,
                }
            }
        }
        if faults.is_empty() { Ok(summary) } else { Err(faults) }
    }
}
