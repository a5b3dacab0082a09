//! Draws a model. Pure: the same model and choices give the same screen.

mod chart;
mod clients;
mod clusters;
mod events;
mod help;
mod pointsman;

#[cfg(test)]
mod tests;

use self::{line::Pieces, theme::Theme, words::fitting};
use super::{
    keys::{Ui, hints},
    model::{Model, Role, Switch},
};
use crate::screen::{help::bottom, line, theme, words};
use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    style::Style,
    widgets::{Paragraph, Widget, Wrap},
};

/// Smallest screen on which everything has room.
const COLUMNS: u16 = 80;
const ROWS: u16 = 24;

/// Draws everything.
pub(crate) fn draw(model: &Model, ui: &Ui, frame: &mut Frame) {
    paint(model, ui, frame.area(), frame.buffer_mut());
}

fn paint(model: &Model, ui: &Ui, area: Rect, buffer: &mut Buffer) {
    let theme = Theme { colour: ui.colour };
    if area.width < COLUMNS || area.height < ROWS {
        return too_small(area, buffer);
    }
    let rows = Rows::of(area);
    title(model, theme, rows.title, buffer);
    headline(model, theme, rows.headline, buffer);
    Pieces::new(format!(" {}", model.caption), theme.quiet()).put(rows.caption, buffer);
    stage(model, ui, theme, rows.stage, buffer);
    chart::draw(model, theme, rows.chart, buffer);
    events::draw(model, theme, rows.events, buffer);
    bottom(&hints(model), theme, rows.keys, buffer);
    if ui.help {
        help::draw(model, theme, area, buffer);
    }
}

fn too_small(area: Rect, buffer: &mut Buffer) {
    let (width, height) = (area.width, area.height);
    let words = format!(
        "The demo needs {COLUMNS} x {ROWS} characters; this window has {width} x {height}. Make it larger, or the font smaller. q quits."
    );
    Paragraph::new(words).wrap(Wrap { trim: true }).render(area, buffer);
}

/// From top to bottom.
struct Rows {
    title: Rect,
    headline: Rect,
    caption: Rect,
    stage: Rect,
    chart: Rect,
    events: Rect,
    keys: Rect,
}

impl Rows {
    fn of(area: Rect) -> Self {
        let stage = if area.height < ROWS + 2 { 11 } else { 12 };
        let left = area.height - stage - 4;
        let chart = (left * 4 / 7).clamp(5, 14);
        let mut y = area.y;
        let mut next = |height: u16| {
            let row = Rect { y, height, ..area };
            y += height;
            row
        };
        Self {
            title: next(1),
            headline: next(1),
            caption: next(1),
            stage: next(stage),
            chart: next(chart),
            events: next(left - chart),
            keys: next(1),
        }
    }
}

/// Clients, Pointsman and clusters, from left to right, with the tracks between them.
fn stage(model: &Model, ui: &Ui, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let spare = area.width - COLUMNS;
    let track = (spare / 20).min(4);
    let mut x = area.x;
    let mut next = |width: u16| {
        let column = Rect { x, width, ..area };
        x += width;
        column
    };
    clients::draw(model, theme, next(22 + (spare / 2).min(18)), buffer);
    pointsman::calls(model, theme, next(2 + track), buffer);
    pointsman::draw(model, theme, next(19 + (spare / 4).min(11)), buffer);
    let tracks = next(3 + track);
    let clusters = Rect { x: tracks.right(), width: area.right() - tracks.right(), ..area };
    let boxes = clusters::draw(model, ui, theme, clusters, buffer);
    pointsman::tracks(model, theme, tracks, &boxes, buffer);
}

fn title(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let left = Pieces::new(" Pointsman demo", theme.bold());
    let left_width = left.width();
    left.put(area, buffer);
    if model.join.is_empty() {
        return;
    }
    let command = format!("kcat -b {} -t {} -C", model.join, model.topic);
    let room = usize::from(area.width).saturating_sub(left_width + command.len() + 5);
    let invitation =
        fitting(room, &["any Kafka client can join, for example:", "any client can join:", "join:"]);
    Pieces::new(format!("{invitation}  "), theme.quiet())
        .and(command, theme.strong())
        .put_right(area, buffer);
}

/// Who serves, and how long the last switch took.
fn headline(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let (words, style) = serving(model, theme);
    let left = Pieces::new(format!(" {words}"), style);
    let room = usize::from(area.width).saturating_sub(left.width() + 3);
    left.put(area, buffer);
    if let Some(switch) = &model.last_switch {
        let style = if switch.took.is_some() { theme.bold() } else { theme.warning() };
        Pieces::new(last_switch(model, switch, room), style).put_right(area, buffer);
    }
}

fn serving(model: &Model, theme: Theme) -> (String, Style) {
    let Some(active) = model.active else {
        return match model.clusters.iter().enumerate().all(|(i, _)| model.role(i) == Role::Starting) {
            true => ("◌ the clusters start".into(), theme.warning()),
            false => ("✗ no cluster serves: requests wait in Pointsman".into(), theme.bad()),
        };
    };
    let name = model.name(Some(active));
    match model.role(active) {
        Role::Failing => (format!("! {name} has lost its quorum"), theme.warning()),
        _ => (format!("● {name} serves all clients"), theme.good()),
    }
}

fn last_switch(model: &Model, switch: &Switch, room: usize) -> String {
    let way = format!("{} → {}", model.name(switch.from), model.name(switch.to));
    let ago = words::length(model.now.saturating_sub(switch.at));
    let Some(took) = switch.took else {
        return fitting(room, &[format!("switching {way}, for {ago}"), format!("switching, for {ago}")]);
    };
    let took = words::length(took);
    let reason = &switch.reason;
    fitting(
        room,
        &[
            format!("last switch: {way} in {took}, {ago} ago ({reason})"),
            format!("last switch: {way} in {took}, {ago} ago"),
            format!("{way} in {took}, {ago} ago"),
            format!("{way} in {took}"),
        ],
    )
}
