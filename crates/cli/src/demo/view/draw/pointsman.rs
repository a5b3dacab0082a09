//! Pointsman in the middle: its slots, and the tracks to the clusters, of which one is set.

use super::{
    line::Pieces,
    theme::Theme,
    words::{self, fitting},
};
use crate::demo::view::model::{Model, Slot};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    widgets::{Block, BorderType, Widget},
};

pub(super) fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let block = Block::bordered().border_type(BorderType::Rounded).title(" Pointsman ");
    let inside = block.inner(area);
    block.border_style(theme.plain()).title_style(theme.bold()).render(area, buffer);
    let width = usize::from(inside.width);
    let mut lines =
        vec![Pieces::new(fitting(width, &["each slot leads to", "slots lead to"]), theme.quiet())];
    lines.extend(model.slots.iter().map(|slot| slot_line(model, slot, theme, width)));
    let connections = words::number(u64::try_from(model.connections).unwrap_or(u64::MAX));
    let facts = [
        format!("generation {}", words::number(model.generation)),
        fitting(width, &[format!("{connections} connections"), format!("{connections} conns")]),
    ];
    let facts: Vec<Pieces> = facts.into_iter().map(|fact| Pieces::new(fact, theme.quiet())).collect();
    let height = usize::from(inside.height);
    lines.truncate(height.saturating_sub(facts.len()));
    let gap = height.saturating_sub(lines.len() + facts.len());
    lines.extend(std::iter::repeat_with(Pieces::default).take(gap));
    lines.into_iter().chain(facts).zip(inside.rows()).for_each(|(line, row)| line.put(row, buffer));
}

fn slot_line(model: &Model, slot: &Slot, theme: Theme, width: usize) -> Pieces {
    let line = Pieces::new(format!(":{}", slot.port), theme.bold());
    let (end, style) = match slot.broker.and_then(|id| Some((id.cluster, model.broker(id)?))) {
        Some((cluster, broker)) => {
            (format!("{} {}", model.name(Some(cluster)), broker.node), theme.cluster(cluster))
        }
        None => ("waits".into(), theme.warning()),
    };
    let arrow = fitting(width.saturating_sub(line.width() + end.chars().count()), &[" ▸ ", "▸"]);
    line.and(arrow, theme.quiet()).and(end, style)
}

/// The way from the clients.
pub(super) fn calls(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let style = if model.clients.is_empty() { theme.quiet() } else { theme.bold() };
    let y = area.y + area.height / 2;
    for x in area.left()..area.right() {
        put(buffer, x, y, if x + 1 == area.right() { '▶' } else { '━' }, style);
    }
}

/// The ways to the clusters. Only the way to the active one is set.
pub(super) fn tracks(model: &Model, theme: Theme, area: Rect, boxes: &[Rect], buffer: &mut Buffer) {
    for (_, to) in boxes.iter().enumerate().filter(|(index, _)| model.active != Some(*index)) {
        track(area, *to, &LOOSE, theme.quiet(), buffer);
    }
    match model.active.and_then(|active| Some((active, boxes.get(active)?))) {
        Some((active, to)) => {
            let style = theme.cluster(active).add_modifier(Modifier::BOLD);
            track(area, *to, &SET, style, buffer);
        }
        None if boxes.is_empty() => {}
        None => put(buffer, area.x, area.y + area.height / 2, '✗', theme.bad()),
    }
}

/// The characters of a track: along, up and down, and its corners.
struct Rails {
    along: char,
    upright: char,
    turn_up: char,
    turn_down: char,
    arrive_up: char,
    arrive_down: char,
    end: char,
}

const SET: Rails = Rails {
    along: '━',
    upright: '┃',
    turn_up: '┛',
    turn_down: '┓',
    arrive_up: '┏',
    arrive_down: '┗',
    end: '▶',
};
const LOOSE: Rails = Rails {
    along: '╌',
    upright: '╎',
    turn_up: '╯',
    turn_down: '╮',
    arrive_up: '╭',
    arrive_down: '╰',
    end: '▷',
};

fn track(area: Rect, to: Rect, rails: &Rails, style: Style, buffer: &mut Buffer) {
    let from = area.y + area.height / 2;
    let end = to.y + to.height / 2;
    let middle = area.x + area.width / 2;
    let up = end < from;
    for x in area.x..middle {
        put(buffer, x, from, rails.along, style);
    }
    put(buffer, middle, from, if up { rails.turn_up } else { rails.turn_down }, style);
    for y in from.min(end) + 1..from.max(end) {
        put(buffer, middle, y, rails.upright, style);
    }
    put(buffer, middle, end, if up { rails.arrive_up } else { rails.arrive_down }, style);
    for x in middle + 1..area.right() {
        put(buffer, x, end, if x + 1 == area.right() { rails.end } else { rails.along }, style);
    }
}

fn put(buffer: &mut Buffer, x: u16, y: u16, symbol: char, style: Style) {
    if let Some(cell) = buffer.cell_mut((x, y)) {
        cell.set_char(symbol).set_style(style);
    }
}
