//! Keys in words: the bottom line, and the help over everything else.

use super::{keys::Hint, line::Pieces, theme::Theme};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    widgets::{Block, BorderType, Clear, Padding, Widget},
};

const WIDTH: u16 = 78;

/// The keys in the longest words that have room.
pub(crate) fn bottom(hints: &[Hint], theme: Theme, area: Rect, buffer: &mut Buffer) {
    let line = |long: bool, before: &str, after: &str| {
        hints.iter().fold(Pieces::default(), |line, hint| {
            let words = if long { hint.long } else { hint.short };
            line.and(format!(" {} ", hint.key), theme.key())
                .and(format!("{before}{words}{after}"), theme.plain())
        })
    };
    let fits = |line: &Pieces| line.width() <= usize::from(area.width);
    let wider = [line(true, " ", "  "), line(true, "", " "), line(false, " ", "  "), line(false, "", " ")];
    wider.into_iter().find(fits).unwrap_or_else(|| line(false, "", "")).put(area, buffer);
}

/// A line for each key.
pub(crate) fn lines(hints: &[Hint], theme: Theme) -> impl Iterator<Item = Pieces> {
    let line = move |hint: &Hint| {
        Pieces::new(format!(" {} ", hint.key), theme.key()).pad(6).and(hint.help, theme.plain())
    };
    hints.iter().map(line)
}

/// A box in the middle of the area; what has no room is left out.
pub(crate) fn draw(lines: Vec<Pieces>, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let (width, height) = (WIDTH.min(area.width), height.min(area.height));
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let area = Rect { x, y, width, height };
    let block =
        Block::bordered().border_type(BorderType::Rounded).padding(Padding::horizontal(1)).title(" Help ");
    let inside = block.inner(area);
    Clear.render(area, buffer);
    block.title_style(theme.bold()).render(area, buffer);
    lines.into_iter().zip(inside.rows()).for_each(|(line, row)| line.put(row, buffer));
}
