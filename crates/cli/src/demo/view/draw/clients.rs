//! The demo's own clients: what they get done, and how long they ever had to wait.

use super::{
    line::Pieces,
    theme::Theme,
    words::{self, fitting},
};
use crate::demo::view::model::{Client, ClientKind, Model};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    widgets::{Block, BorderType, Widget},
};
use std::time::Duration;

/// A client that has had nothing for so long is called silent.
const SILENT: Duration = Duration::from_millis(300);
/// Rows of a client.
const EACH: usize = 3;
/// From this width on, what belongs to a client is indented.
const INDENTED: usize = 22;

pub(super) fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let block = Block::bordered().border_type(BorderType::Rounded).title(" Clients ");
    let inside = block.inner(area);
    block.border_style(theme.quiet()).title_style(theme.bold()).render(area, buffer);
    let mut rows = inside.rows();
    for client in model.clients.iter().take(usize::from(inside.height) / EACH) {
        let width = usize::from(inside.width);
        let lines = [name(client, theme, width), total(client, theme, width), trouble(client, theme, width)];
        lines.into_iter().zip(&mut rows).for_each(|(line, row)| line.put(row, buffer));
    }
}

fn name(client: &Client, theme: Theme, width: usize) -> Pieces {
    let (now, style) = pace(client, theme, width.saturating_sub(client.name.chars().count() + 1));
    let column = width.saturating_sub(now.chars().count());
    Pieces::new(client.name.to_string(), theme.bold()).pad(column).and(now, style)
}

/// The rate, or since when there is none.
fn pace(client: &Client, theme: Theme, room: usize) -> (String, Style) {
    if client.silent >= SILENT {
        let silent = words::length(client.silent);
        return (fitting(room, &[format!("silent {silent}"), format!("0/s {silent}")]), theme.warning());
    }
    let rate = words::number(client.rate.into());
    (fitting(room, &[format!("{rate} records/s"), format!("{rate}/s")]), theme.good())
}

fn total(client: &Client, theme: Theme, width: usize) -> Pieces {
    let total = words::number(client.total);
    let indent = indent(width);
    let room = width.saturating_sub(indent.len());
    let words = match client.kind {
        ClientKind::Producer => fitting(room, &[format!("{total} acknowledged"), format!("{total} acked")]),
        ClientKind::Consumer { lag } => {
            let lag = words::number(lag);
            fitting(room, &[format!("{total} read, lag {lag}"), format!("{total}, lag {lag}")])
        }
    };
    Pieces::new(format!("{indent}{words}"), theme.plain())
}

fn trouble(client: &Client, theme: Theme, width: usize) -> Pieces {
    let style = if client.errors > 0 { theme.bad() } else { theme.quiet() };
    let errors = match client.errors {
        1 => "1 error".into(),
        errors => format!("{} errors", words::number(errors)),
    };
    let indent = indent(width);
    let gap = words::length(client.longest_silence);
    let room = width.saturating_sub(indent.len() + errors.len() + 2);
    let silence = fitting(
        room,
        &[format!("longest silence {gap}"), format!("longest gap {gap}"), format!("gap {gap}")],
    );
    Pieces::new(format!("{indent}{errors}"), style).and(format!(", {silence}"), theme.quiet())
}

fn indent(width: usize) -> &'static str {
    if width >= INDENTED { "  " } else { "" }
}
