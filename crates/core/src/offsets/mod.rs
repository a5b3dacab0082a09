//! Offsets, by observation: where the logs of each cluster end, where a switch found them, and where groups are.
//!
//! Between independent clusters the offset of a record on one means nothing on the other. What is kept here lets a group
//! that was read on one cluster begin on the next one where that took over, and says what was left unread. Nothing here
//! decides which cluster serves.

mod beginning;
mod ends;
mod groups;
mod logs;
mod point;
mod readers;

pub use beginning::{Stay, beginning};
pub use ends::EndsCell;
pub use groups::{Backlog, Groups, Place, SavedGroups};
pub use logs::LogOffsets;
pub use point::SwitchPoint;
pub use readers::{Readers, Reading};
