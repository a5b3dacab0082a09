//! Draws the monitor: title, a line for each virtual cluster, lists of clusters and routes, events, keys. Pure.

mod clusters;
mod list;
mod routes;
#[cfg(test)]
mod tests;

use super::{
    keys::{HINTS, Ui},
    model::{Answer, Model},
};
use crate::{
    screen::{
        events,
        help::{self, bottom},
        line::Pieces,
        theme::Theme,
        words::fitting,
    },
    status::{duration, number, text},
};
use list::Section;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    widgets::{Paragraph, Widget, Wrap},
};

/// Smallest screen on which there is something to read.
const COLUMNS: u16 = 40;
const ROWS: u16 = 10;
/// From this width on the lists stand side by side.
const WIDE: u16 = 100;

pub(super) fn paint(live: &Model, ui: &mut Ui, area: Rect, buffer: &mut Buffer) {
    let theme = Theme { colour: ui.colour };
    if area.width < COLUMNS || area.height < ROWS {
        return too_small(area, buffer);
    }
    let held = ui.held.take();
    let model = held.as_deref().unwrap_or(live);
    let rows = Rows::of(area, crate::status::list(&model.status["virtual_clusters"]).len());
    title(model, live, theme, rows.title, buffer);
    if model.status.is_null() {
        nothing_yet(model, theme, rows.body, buffer);
    } else {
        routes::summaries(model, theme, rows.summaries, buffer);
        body(model, ui, theme, rows.body, buffer);
    }
    recent(model, ui, theme, rows.events, buffer);
    keys(ui, theme, rows.keys, buffer);
    if ui.help {
        help::draw(help_lines(theme), theme, area, buffer);
    }
    ui.held = held;
}

fn too_small(area: Rect, buffer: &mut Buffer) {
    let (width, height) = (area.width, area.height);
    let words = format!(
        "top needs {COLUMNS} x {ROWS} characters; this window has {width} x {height}. Make it larger. q quits."
    );
    Paragraph::new(words).wrap(Wrap { trim: true }).render(area, buffer);
}

/// From top to bottom.
struct Rows {
    title: Rect,
    summaries: Rect,
    body: Rect,
    events: Rect,
    keys: Rect,
}

impl Rows {
    fn of(area: Rect, virtual_clusters: usize) -> Self {
        let most = area.height / 5;
        let summaries = u16::try_from(virtual_clusters).unwrap_or(most).clamp(1, most);
        let events = (area.height / 5 + 1).clamp(3, 12);
        let mut y = area.y;
        let mut next = |height: u16| {
            let row = Rect { y, height, ..area };
            y += height;
            row
        };
        Self {
            title: next(1),
            summaries: next(summaries),
            body: next(area.height - summaries - events - 2),
            events: next(events),
            keys: next(1),
        }
    }
}

fn title(model: &Model, live: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let version = model.status["version"].as_str().map(|version| format!(" {version}")).unwrap_or_default();
    let left = Pieces::new(format!(" Pointsman{version}"), theme.bold())
        .and(format!("  {}", model.admin), theme.quiet());
    let room = usize::from(area.width).saturating_sub(left.width() + 3);
    let since = |ms: u64| duration_ms(live.now_ms.saturating_sub(ms));
    let (words, style) = match &model.answer {
        _ if !std::ptr::eq(model, live) => {
            (vec![format!("‖ paused {}", since(model.now_ms))], theme.warning())
        }
        Answer::Awaited => (vec!["◌ asking".into()], theme.warning()),
        Answer::Good => (alive(model), theme.good()),
        Answer::Missing { since_ms, .. } => {
            let ago = since(*since_ms);
            (
                vec![format!("✗ no answer for {ago}: as it was then"), format!("✗ no answer for {ago}")],
                theme.bad(),
            )
        }
    };
    let right = Pieces::new(fitting(room, &words), style);
    let taken = u16::try_from(right.width()).unwrap_or(u16::MAX).saturating_add(3);
    left.put(Rect { width: area.width.saturating_sub(taken), ..area }, buffer);
    right.put_right(area, buffer);
}

fn alive(model: &Model) -> Vec<String> {
    let generation = number(&model.status["generation"]);
    let up = duration(model.status["uptime_s"].as_f64().unwrap_or(0.0));
    vec![format!("● generation {generation}, up {up}"), format!("● up {up}"), "●".into()]
}

pub(super) fn duration_ms(ms: u64) -> String {
    duration(std::time::Duration::from_millis(ms).as_secs_f64())
}

fn nothing_yet(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let (words, style) = match &model.answer {
        Answer::Missing { why, .. } => (format!("{why}\n\nAsked again every second."), theme.bad()),
        _ => (format!("asking {}", model.admin), theme.plain()),
    };
    let words = words.replace(|c: char| c.is_control() && c != '\n', " ");
    let area = Rect { x: area.x + 1, width: area.width - 2, ..area };
    Paragraph::new(words).style(style).wrap(Wrap { trim: true }).render(area, buffer);
}

/// Two lists side by side, or one with everything.
fn body(model: &Model, ui: &mut Ui, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if area.width < WIDE {
        ui.focus = 0;
        let width = usize::from(area.width);
        let sections =
            [clusters::sections(model, theme, width), routes::sections(model, theme, width)].concat();
        return list::draw("Clusters and slots", &sections, ui, 0, theme, area, buffer);
    }
    let left = Rect { width: area.width / 2 - 1, ..area };
    let right = Rect { x: left.right() + 2, width: area.right() - left.right() - 2, ..area };
    let clusters: Vec<Section> = clusters::sections(model, theme, usize::from(left.width));
    let routes = routes::sections(model, theme, usize::from(right.width));
    list::draw("Clusters", &clusters, ui, 0, theme, left, buffer);
    list::draw("Slots", &routes, ui, 1, theme, right, buffer);
}

fn recent(model: &Model, ui: &Ui, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let wanted: Vec<_> = model.events.iter().filter(|event| ui.wants(&event.text)).collect();
    let line = |event: &&super::model::Event| {
        let ago = duration_ms(model.now_ms.saturating_sub(event.at_ms));
        events::line(&format!("{ago:>7} ago"), event.kind, &event.text, theme)
    };
    events::draw(wanted.iter().map(line), theme, area, buffer);
}

fn keys(ui: &Ui, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if !ui.typing {
        return bottom(&HINTS, theme, area, buffer);
    }
    Pieces::new(format!(" /{}", ui.filter), theme.strong())
        .and("▏ ", theme.strong())
        .and("Enter keeps the filter, Esc clears it", theme.quiet())
        .put(area, buffer);
}

fn help_lines(theme: Theme) -> Vec<Pieces> {
    let plain = |text: &str| Pieces::new(text, theme.plain());
    let mut lines =
        vec![plain("Where Pointsman sends clients now, and why: asked every second."), Pieces::default()];
    lines.extend(help::lines(&HINTS, theme));
    lines.push(Pieces::default());
    lines.push(plain("● serves or healthy   ○ ready   ✗ unhealthy, no quorum   ! attention"));
    lines
}

/// A mark before something an operator should know.
fn note(words: &str, theme: Theme) -> Pieces {
    Pieces::new("  ! ", theme.warning()).and(words.trim(), theme.warning())
}

/// The name of something, or a dash.
fn name(value: &serde_json::Value) -> &str {
    match text(value) {
        "" => "-",
        name => name,
    }
}
