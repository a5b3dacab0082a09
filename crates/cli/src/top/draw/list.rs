//! A list of sections that scrolls and can be filtered.

use crate::{
    screen::{line::Pieces, theme::Theme},
    top::keys::{Pane, Ui},
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    widgets::{Block, Borders, Widget},
};

/// A heading and what belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) heading: Pieces,
    pub(super) rows: Vec<Pieces>,
}

/// The rows that the filter leaves: a section whose heading is wanted stays whole, another one keeps its wanted rows.
fn wanted<'a>(sections: &'a [Section], ui: &Ui) -> Vec<&'a Pieces> {
    let rows = sections.iter().flat_map(|section| {
        let whole = ui.wants(&section.heading.text());
        let rows: Vec<&Pieces> = section.rows.iter().filter(|row| whole || ui.wants(&row.text())).collect();
        let shown = whole || !rows.is_empty();
        shown.then_some(&section.heading).into_iter().chain(rows)
    });
    rows.collect()
}

/// Draws the list with this number below a rule, and notes for the keys how far it can scroll.
pub(super) fn draw(
    title: &str,
    sections: &[Section],
    ui: &mut Ui,
    number: usize,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let rows = wanted(sections, ui);
    let room = usize::from(area.height.saturating_sub(1));
    let pane = Pane { first: ui.panes[number].first, room, rows: rows.len() };
    let first = pane.first.min(pane.last());
    ui.panes[number] = Pane { first, ..pane };

    let style = if ui.focus == number { theme.bold() } else { theme.quiet() };
    let mut left = Pieces::new(format!("─ {title} "), style);
    if !ui.filter.is_empty() {
        left = left.and(format!("with {} ", ui.filter), theme.warning());
    }
    let last = (first + room).min(rows.len());
    let position = if rows.len() > room {
        format!(" {}-{last} of {} ─", first + 1, rows.len())
    } else {
        String::new()
    };
    let block = Block::new().borders(Borders::TOP).border_style(theme.quiet());
    let inside = block.inner(area);
    block
        .title(left.line())
        .title(Pieces::new(position, theme.quiet()).line().right_aligned())
        .render(area, buffer);
    for (row, place) in rows.into_iter().skip(first).zip(inside.rows()) {
        row.clone().put(place, buffer);
    }
}
