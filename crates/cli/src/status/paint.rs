//! Lines of at most 80 columns, with colours where the reader has them.

/// Width of the table.
const COLUMNS: usize = 80;

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Plain,
    Bold,
    Good,
    Bad,
    Warn,
}

impl Colour {
    /// SGR code (ECMA-48).
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Good => "32",
            Self::Bad => "31;1",
            Self::Warn => "33",
        }
    }
}

/// One line, in pieces.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<(String, Colour)>);

impl Line {
    pub(super) fn new(text: impl Into<String>, colour: Colour) -> Self {
        Self(vec![(text.into(), colour)])
    }

    pub(super) fn add(&mut self, text: impl Into<String>, colour: Colour) {
        self.0.push((text.into(), colour));
    }

    fn write(&self, colours: bool, out: &mut String) {
        let width: usize = self.0.iter().map(|(text, _)| text.chars().count()).sum();
        let mut left = if width > COLUMNS { COLUMNS - 1 } else { COLUMNS };
        for (text, colour) in &self.0 {
            let shown: String =
                text.chars().take(left).map(|c| if c.is_control() { ' ' } else { c }).collect();
            left -= shown.chars().count();
            if colours && *colour != Colour::Plain {
                out.push_str(&format!("\x1b[{}m{shown}\x1b[0m", colour.code()));
            } else {
                out.push_str(&shown);
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push_str(if width > COLUMNS { "…\n" } else { "\n" });
    }
}

/// Lines in order.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Line>);

impl Table {
    pub(super) fn push(&mut self, line: Line) {
        self.0.push(line);
    }

    pub(super) fn blank(&mut self) {
        self.0.push(Line::default());
    }

    pub(super) fn text(&self, colours: bool) -> String {
        let mut out = String::new();
        self.0.iter().for_each(|line| line.write(colours, &mut out));
        out
    }
}
