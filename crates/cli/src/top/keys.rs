//! What the keys of the monitor mean, and what the user has chosen. Pure.

use super::model::Model;
use crate::screen::{
    keys::{Hint, Key, hint},
    terminal::View,
};
use ratatui::Frame;

/// Lists on the screen.
pub(super) const PANES: usize = 2;
/// Letters of a filter.
const FILTER: usize = 40;

/// Every key that does something, in the order of the bottom line.
pub(super) const HINTS: [Hint; 6] = [
    hint("↑↓", "", "scroll", "scroll; PgUp, PgDn, Home and End go further"),
    hint("Tab", "list", "other list", "scroll the other list, where there are two; ← and → choose it too"),
    hint("/", "filter", "filter", "show only what contains a text; Enter keeps it, Esc clears it"),
    hint("p", "pause", "pause", "hold what is on the screen; again: go on"),
    hint("?", "help", "help", "this page; any key closes it"),
    hint("q", "quit", "quit", "leave; Ctrl-C does too"),
];

/// That the user has seen enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quit;

/// What the user has chosen.
#[derive(Debug, Clone, Default)]
pub(super) struct Ui {
    pub(super) colour: bool,
    pub(super) help: bool,
    /// What was on the screen when it was paused.
    pub(super) held: Option<Box<Model>>,
    /// Only what contains this is shown, in lower case.
    pub(super) filter: String,
    /// Whether letters go to the filter.
    pub(super) typing: bool,
    /// The list that the arrows scroll.
    pub(super) focus: usize,
    /// Each list, as it was drawn last.
    pub(super) panes: [Pane; PANES],
}

/// A list on the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pane {
    /// The first row that is shown.
    pub(super) first: usize,
    /// Rows that have room.
    pub(super) room: usize,
    /// All rows.
    pub(super) rows: usize,
}

impl Pane {
    /// The furthest that it scrolls.
    pub(super) fn last(self) -> usize {
        self.rows.saturating_sub(self.room)
    }
}

impl View for Ui {
    type Model = Model;
    type Command = Quit;

    fn draw(&mut self, model: &Model, frame: &mut Frame) {
        super::draw::paint(model, self, frame.area(), frame.buffer_mut());
    }

    fn press(&mut self, key: Key, model: &Model) -> Option<Quit> {
        match key {
            Key::Interrupt => return Some(Quit),
            _ if self.typing => self.write(key),
            Key::Char('q' | 'Q') => return Some(Quit),
            _ if self.help => self.help = false,
            Key::Char(letter) => self.letter(letter, model),
            Key::Escape => self.filter.clear(),
            Key::Tab => self.focus = (self.focus + 1) % PANES,
            Key::Left => self.focus = 0,
            Key::Right => self.focus = PANES - 1,
            _ => self.scroll(key),
        }
        None
    }

    fn quits(_: Quit) -> bool {
        true
    }
}

impl Ui {
    pub(super) fn new(colour: bool) -> Self {
        Self { colour, ..Self::default() }
    }

    fn letter(&mut self, letter: char, model: &Model) {
        match letter.to_ascii_lowercase() {
            'p' | ' ' => self.held = if self.held.is_some() { None } else { Some(Box::new(model.clone())) },
            '/' => self.typing = true,
            '?' | 'h' => self.help = true,
            'k' => self.scroll(Key::Up),
            'j' => self.scroll(Key::Down),
            _ => {}
        }
    }

    fn write(&mut self, key: Key) {
        match key {
            Key::Char(letter) if self.filter.chars().count() < FILTER => {
                self.filter.extend(letter.to_lowercase());
            }
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.typing = false;
                self.filter.clear();
            }
            _ => {}
        }
    }

    fn scroll(&mut self, key: Key) {
        let pane = &mut self.panes[self.focus];
        let page = pane.room.saturating_sub(1).max(1);
        pane.first = match key {
            Key::Up => pane.first.saturating_sub(1),
            Key::Down => pane.first + 1,
            Key::PageUp => pane.first.saturating_sub(page),
            Key::PageDown => pane.first + page,
            Key::Home => 0,
            Key::End => pane.last(),
            _ => return,
        }
        .min(pane.last());
    }

    /// Whether a text is to be shown.
    pub(super) fn wants(&self, text: &str) -> bool {
        self.filter.is_empty() || text.to_lowercase().contains(&self.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};
    use crate::screen::keys::decode;

    fn pressed(ui: &mut Ui, keys: &str) -> Vec<Quit> {
        let model = sample::model();
        decode(keys).into_iter().filter_map(|key| ui.press(key, &model)).collect()
    }

    fn scrollable() -> Ui {
        let pane = Pane { first: 0, room: 5, rows: 12 };
        Ui { panes: [pane, Pane { rows: 3, ..pane }], ..Ui::default() }
    }

    #[test]
    fn arrows_scroll_the_chosen_list_and_stop_at_its_ends() {
        let mut ui = scrollable();
        for (keys, first) in [
            ("\x1b[B\x1b[B", 2),
            ("\x1b[A\x1b[A\x1b[A", 0),
            ("\x1b[6~", 4),
            ("\x1b[6~\x1b[6~", 7),
            ("\x1b[H", 0),
            ("\x1b[F", 7),
            ("kkj", 6),
        ] {
            assert_eq!(pressed(&mut ui, keys), []);
            assert_eq!(ui.panes[0].first, first, "{keys:?}");
        }
        pressed(&mut ui, "\t\x1b[B");
        assert_eq!((ui.focus, ui.panes[1].first, ui.panes[0].first), (1, 0, 6), "three rows have room");
        pressed(&mut ui, "\x1b[D");
        assert_eq!(ui.focus, 0);
    }

    #[test]
    fn a_filter_is_typed_kept_and_cleared() {
        let mut ui = scrollable();
        pressed(&mut ui, "/Qp?x\x7f");
        assert!(
            (ui.typing, ui.help, ui.held.is_some()) == (true, false, false),
            "letters belong to the filter"
        );
        assert_eq!(ui.filter, "qp?");
        pressed(&mut ui, "\r");
        assert!(!ui.typing && ui.wants("a QP?") && !ui.wants("kafka"));
        pressed(&mut ui, "\x1b");
        assert_eq!(ui.filter, "");
        pressed(&mut ui, "/a");
        pressed(&mut ui, "\x1b");
        assert!(!ui.typing && ui.filter.is_empty());
        pressed(&mut ui, &format!("/{}", "x".repeat(99)));
        assert_eq!(ui.filter.len(), FILTER);
        assert_eq!(pressed(&mut ui, "\x03"), [Quit], "also while typing");
    }

    #[test]
    fn pause_holds_what_was_seen_and_lets_go_again() {
        let mut ui = Ui::default();
        pressed(&mut ui, "p");
        assert_eq!(ui.held.as_ref().map(|model| model.now_ms), Some(sample::model().now_ms));
        pressed(&mut ui, "p");
        assert!(ui.held.is_none());
    }

    #[test]
    fn the_help_closes_by_any_key_and_q_quits_everywhere_but_in_a_filter() {
        let mut ui = Ui::default();
        pressed(&mut ui, "?");
        assert!(ui.help);
        assert_eq!(pressed(&mut ui, "p"), []);
        assert!(!ui.help && ui.held.is_none());
        assert_eq!(pressed(&mut ui, "?q"), [Quit]);
        assert_eq!(pressed(&mut ui, "Q"), [Quit]);
    }

    #[test]
    fn every_key_of_the_bottom_line_does_something() {
        let keys = [("↑↓", "\x1b[B"), ("Tab", "\t"), ("/", "/"), ("p", "p"), ("?", "?"), ("q", "q")];
        assert_eq!(keys.map(|(name, _)| name), HINTS.map(|hint| hint.key));
        for (name, key) in keys {
            let mut ui = scrollable();
            let quits = !pressed(&mut ui, key).is_empty();
            assert!(quits || format!("{ui:?}") != format!("{:?}", scrollable()), "{name}");
        }
    }
}
