//! The newest events, the newest below.

use super::{line::Pieces, theme::Theme, words};
use crate::demo::view::model::{Event, EventKind, Model};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    widgets::{Block, Borders, Widget},
};

pub(super) fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let block = Block::new().borders(Borders::TOP).title("─ Events ");
    let inside = block.inner(area);
    block.border_style(theme.quiet()).title_style(theme.bold()).render(area, buffer);
    let hidden = model.events.len().saturating_sub(usize::from(inside.height));
    for (event, row) in model.events.iter().skip(hidden).zip(inside.rows()) {
        line(event, theme).put(row, buffer);
    }
}

fn line(event: &Event, theme: Theme) -> Pieces {
    let (symbol, style) = symbol(event.kind, theme);
    let text = if event.kind == EventKind::Switch { theme.bold() } else { theme.plain() };
    Pieces::new(format!(" {}", words::moment(event.at)), theme.quiet())
        .and(format!("  {symbol} "), style)
        .and(event.text.to_string(), text)
}

/// The symbol of a kind of event, here and in the chart.
pub(super) fn symbol(kind: EventKind, theme: Theme) -> (char, Style) {
    match kind {
        EventKind::Fault => ('✗', theme.bad()),
        EventKind::Recovery => ('↻', theme.good()),
        EventKind::Switch => ('⇄', theme.strong()),
        EventKind::Note => ('·', theme.quiet()),
        EventKind::Problem => ('!', theme.warning()),
    }
}
