//! What colours and emphasis mean. Without colour, emphasis and words remain.

use ratatui::style::{Color, Modifier, Style};

/// The colours of a terminal with sixteen of them, so that its own theme stays in force. Each style replaces what stood before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    /// Whether colours are wanted.
    pub(crate) colour: bool,
}

impl Theme {
    fn coloured(self, colour: Color) -> Style {
        if self.colour { Style::reset().fg(colour) } else { Style::reset() }
    }

    pub(crate) fn plain(self) -> Style {
        Style::reset()
    }

    /// Beside the point.
    pub(crate) fn quiet(self) -> Style {
        Style::reset().add_modifier(Modifier::DIM)
    }

    pub(crate) fn bold(self) -> Style {
        Style::reset().add_modifier(Modifier::BOLD)
    }

    /// Something to type or to read first.
    pub(crate) fn strong(self) -> Style {
        self.coloured(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn good(self) -> Style {
        self.coloured(Color::Green).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn bad(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn warning(self) -> Style {
        self.coloured(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// A key that can be pressed.
    pub(crate) fn key(self) -> Style {
        Style::reset().add_modifier(Modifier::REVERSED)
    }

    /// A cluster has the same colour wherever it shows.
    pub(crate) fn cluster(self, index: usize) -> Style {
        self.coloured(if index == 0 { Color::Blue } else { Color::Magenta })
    }
}
