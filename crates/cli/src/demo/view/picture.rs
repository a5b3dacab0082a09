//! The picture of the README.

use super::{draw::draw, keys::Ui, sample};
use crate::screen::picture;
use ratatui::{Terminal, backend::TestBackend};

const COLUMNS: u16 = 100;
const ROWS: u16 = 30;
const TITLE: &str =
    "pointsman demo, shortly after a failover (the figures are those of a run on the sandbox, 2 cores)";

#[test]
fn picture_of_the_readme_is_what_the_view_draws() {
    let mut terminal = Terminal::new(TestBackend::new(COLUMNS, ROWS)).expect("a screen");
    let ui = Ui { colour: true, ..Ui::default() };
    terminal.draw(|frame| draw(&sample::model(), &ui, frame)).expect("drawn");
    picture::assert_drawn("demo.svg", terminal.backend().buffer(), TITLE);
}
