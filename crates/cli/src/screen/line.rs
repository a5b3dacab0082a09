//! One line on the screen, in pieces of different emphasis, cut where its room ends.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Widget,
};

/// Pieces of text, one after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces(Line<'static>);

impl Pieces {
    pub(crate) fn new(text: impl Into<String>, style: Style) -> Self {
        Self::default().and(text, style)
    }

    /// With one more piece at the end. Control characters become spaces.
    pub(crate) fn and(mut self, text: impl Into<String>, style: Style) -> Self {
        let text = text.into().replace(char::is_control, " ");
        self.0.push_span(Span::styled(text, style));
        self
    }

    /// With spaces up to this column.
    pub(crate) fn pad(self, column: usize) -> Self {
        let missing = column.saturating_sub(self.width());
        self.and(" ".repeat(missing), Style::new())
    }

    pub(crate) fn width(&self) -> usize {
        self.0.width()
    }

    /// The words alone.
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|span| span.content.as_ref()).collect()
    }

    pub(crate) fn line(self) -> Line<'static> {
        self.0
    }

    /// At the left end of the area. An ellipsis says that there would be more.
    pub(crate) fn put(self, area: Rect, buffer: &mut Buffer) {
        let cut = self.width() > usize::from(area.width);
        self.0.left_aligned().render(area, buffer);
        if let Some(last) = buffer.cell_mut((area.right().saturating_sub(1), area.y)).filter(|_| cut) {
            last.set_char('…');
        }
    }

    /// At the right end of the area, one column from its edge.
    pub(crate) fn put_right(self, area: Rect, buffer: &mut Buffer) {
        let area = Rect { width: area.width.saturating_sub(1), ..area };
        self.0.right_aligned().render(area, buffer);
    }
}
