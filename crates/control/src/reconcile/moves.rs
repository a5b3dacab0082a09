//! Says in the log which positions were moved: a line each, but only so many, and how many there were besides.

use pointsman_core::{Now, signal::Moved};
use std::time::Duration;

/// Lines of one [`STRETCH`]. A switch moves every group at once: the first few show what happens, the counters how often.
const LINES: u32 = 20;
const STRETCH: Duration = Duration::from_secs(10);

/// What was said lately.
#[derive(Debug, Default)]
pub(super) struct Moves {
    began: Now,
    lines: u32,
    /// Partitions that had no line.
    unsaid: u64,
}

impl Moves {
    pub(super) fn tell(&mut self, virtual_cluster: &str, cluster: &str, moved: &Moved, now: Now) {
        let Some(unsaid) = self.admit(moved.partitions, now) else { return };
        if unsaid > 0 {
            tracing::info!("and {unsaid} partitions more before that");
        }
        let (topic, partition, partitions) = (&*moved.topic, moved.partition, moved.partitions);
        match &moved.group {
            Some(group) => tracing::info!(
                virtual_cluster,
                cluster,
                group = &**group,
                topic,
                partition,
                partitions,
                "a group whose last commit is not known here begins at {}",
                moved.offset
            ),
            None => tracing::info!(
                virtual_cluster,
                cluster,
                topic,
                partition,
                partitions,
                "consumers with positions of another cluster are moved to {} if theirs is beyond it",
                moved.offset
            ),
        }
    }

    /// Whether there may be a line, and how many partitions had none before it.
    fn admit(&mut self, partitions: u64, now: Now) -> Option<u64> {
        if now >= self.began + STRETCH {
            (self.began, self.lines) = (now, 0);
        }
        if self.lines == LINES {
            self.unsaid += partitions;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_moves_have_a_line_each_and_the_others_are_counted_in_a_later_one() {
        let (mut moves, start) = (Moves::default(), Duration::from_secs(100));
        let said = (0..50).filter(|_| moves.admit(3, start) == Some(0)).count();
        assert_eq!(said, 20);
        assert_eq!(moves.admit(1, start + STRETCH), Some(90));
        assert_eq!(moves.admit(1, start + STRETCH), Some(0));
    }
}
