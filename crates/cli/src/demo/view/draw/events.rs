//! The newest events, the newest below.

use super::{theme::Theme, words};
use crate::{
    demo::view::model::Model,
    screen::events::{self, line},
};
use ratatui::{buffer::Buffer, layout::Rect};

pub(super) fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let lines = model.events.iter().map(|e| line(&words::moment(e.at), e.kind, &e.text, theme));
    events::draw(lines, theme, area, buffer);
}
