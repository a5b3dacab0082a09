//! A list of events, the newest below.

use super::{line::Pieces, theme::Theme};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    widgets::{Block, Borders, Widget},
};

/// What kind of event: decides its symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// Something broke, or was broken.
    Fault,
    /// Something works again, or is on its way to.
    Recovery,
    /// Pointsman decided about the active cluster.
    Switch,
    /// Anything else.
    Note,
    /// Something went wrong that nobody asked for.
    Problem,
}

/// The symbol of a kind of event.
pub(crate) fn symbol(kind: EventKind, theme: Theme) -> (char, Style) {
    match kind {
        EventKind::Fault => ('✗', theme.bad()),
        EventKind::Recovery => ('↻', theme.good()),
        EventKind::Switch => ('⇄', theme.strong()),
        EventKind::Note => ('·', theme.quiet()),
        EventKind::Problem => ('!', theme.warning()),
    }
}

/// One event: when, its symbol, and what.
pub(crate) fn line(when: &str, kind: EventKind, text: &str, theme: Theme) -> Pieces {
    let (symbol, style) = symbol(kind, theme);
    let emphasis = if kind == EventKind::Switch { theme.bold() } else { theme.plain() };
    Pieces::new(format!(" {when}"), theme.quiet()).and(format!("  {symbol} "), style).and(text, emphasis)
}

/// The last of these lines that have room, below a rule with the title.
pub(crate) fn draw(
    lines: impl ExactSizeIterator<Item = Pieces>,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let block = Block::new().borders(Borders::TOP).title("─ Events ");
    let inside = block.inner(area);
    block.border_style(theme.quiet()).title_style(theme.bold()).render(area, buffer);
    let hidden = lines.len().saturating_sub(usize::from(inside.height));
    lines.skip(hidden).zip(inside.rows()).for_each(|(line, row)| line.put(row, buffer));
}
