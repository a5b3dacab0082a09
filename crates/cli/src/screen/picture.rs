//! A screen as an SVG: the pictures of the documents are made by the tests of what draws the screen.
//!
//! Lines and blocks are shapes, so that no font can tear them apart, and every run of text has its length. The picture brings
//! its own background, and so is legible on a light and on a dark page.

use ratatui::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};
use std::{fmt::Write, fs, path::Path};

/// A cell, in pixels.
const CELL: (f64, f64) = (8.4, 18.0);
/// Around the screen.
const MARGIN: f64 = 14.0;
const BACKGROUND: &str = "#10151d";
const FOREGROUND: &str = "#d5dce6";

/// The colours that the view uses.
fn colour(colour: Color) -> &'static str {
    match colour {
        Color::Red => "#ff6b6b",
        Color::Green => "#5fd38d",
        Color::Yellow => "#f2c14e",
        Color::Blue => "#5aa9ff",
        Color::Magenta => "#e08cf0",
        Color::Cyan => "#5fd7e6",
        _ => FOREGROUND,
    }
}

/// How a cell looks.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Look {
    colour: &'static str,
    bold: bool,
    dim: bool,
    reversed: bool,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let has = |modifier| cell.modifier.contains(modifier);
        Self {
            colour: colour(cell.fg),
            bold: has(Modifier::BOLD),
            dim: has(Modifier::DIM),
            reversed: has(Modifier::REVERSED),
        }
    }

    fn opacity(&self) -> &'static str {
        if self.dim { " opacity=\"0.65\"" } else { "" }
    }

    /// Attributes of something filled.
    fn fill(&self) -> String {
        format!("fill=\"{}\"{}", self.colour, self.opacity())
    }

    /// Attributes of a line.
    fn stroke(&self, thick: bool) -> String {
        let width = if thick { "2.6" } else { "1.2" };
        format!("fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\"{}", self.colour, self.opacity())
    }

    fn text(&self) -> String {
        let colour = if self.reversed { BACKGROUND } else { self.colour };
        let bold = if self.bold || self.reversed { " font-weight=\"bold\"" } else { "" };
        format!("fill=\"{colour}\"{bold}{}", self.opacity())
    }
}

/// Shapes of the same attributes become one path.
#[derive(Default)]
struct Canvas {
    paths: Vec<(String, String)>,
    texts: String,
}

impl Canvas {
    fn path(&mut self, attributes: String, data: &str) {
        match self.paths.iter_mut().find(|(known, _)| *known == attributes) {
            Some((_, path)) => path.push_str(data),
            None => self.paths.push((attributes, data.to_owned())),
        }
    }

    /// A rectangle at these pixels.
    fn rectangle(&mut self, attributes: String, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.path(attributes, &format!("M{x:.1} {y:.1}h{width:.1}v{height:.1}h-{width:.1}z"));
    }

    fn row(&mut self, cells: &[&Cell], y: u16) {
        let mut x = 0;
        for run in cells.chunk_by(|a, b| Look::of(a) == Look::of(b)) {
            let look = Look::of(run[0]);
            if look.reversed {
                let width = f64::from(count(run.len())) * CELL.0;
                self.rectangle(look.fill(), (left(x), top(y) + 1.0), (width, CELL.1 - 2.0));
            }
            let text: String = run.iter().map(|cell| cell.symbol()).collect();
            self.run(&text, look, x, y);
            x += count(run.len());
        }
    }

    /// A run of one look: symbols by themselves, words between them.
    fn run(&mut self, text: &str, look: Look, x: u16, y: u16) {
        let mut word = String::new();
        let mut start = x;
        for (symbol, x) in text.chars().zip(x..) {
            let ends = symbol == ' ' && (word.is_empty() || word.ends_with(' '));
            if symbol.is_ascii() && !ends {
                if word.is_empty() {
                    start = x;
                }
                word.push(symbol);
                continue;
            }
            self.word(&std::mem::take(&mut word), look, start, y);
            if symbol != ' ' {
                self.symbol(symbol, look, x, y);
            }
        }
        self.word(&word, look, start, y);
    }

    fn word(&mut self, word: &str, look: Look, x: u16, y: u16) {
        let word = word.trim_end();
        if word.is_empty() {
            return;
        }
        let (x, y, attributes) = (left(x), top(y) + 13.5, look.text());
        let length = f64::from(count(word.len())) * CELL.0;
        let word = word.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.texts,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\" {attributes}>{word}</text>"
        );
    }

    fn symbol(&mut self, symbol: char, look: Look, x: u16, y: u16) {
        if let Some(eighths) = eighths(symbol) {
            let height = CELL.1 * eighths / 8.0;
            // One pixel less: columns that touch look like one wall.
            return self.rectangle(look.fill(), (left(x), top(y) + CELL.1 - height), (CELL.0 - 1.0, height));
        }
        match line(symbol) {
            Some((thick, data)) => self.path(look.stroke(thick), &data(left(x), top(y))),
            None => {
                let (x, y, attributes) = (left(x) + CELL.0 / 2.0, top(y) + 13.5, look.text());
                let _ = writeln!(
                    self.texts,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" {attributes}>{symbol}</text>"
                );
            }
        }
    }
}

fn count(length: usize) -> u16 {
    u16::try_from(length).expect("a row is short")
}

fn left(x: u16) -> f64 {
    MARGIN + f64::from(x) * CELL.0
}

fn top(y: u16) -> f64 {
    MARGIN + f64::from(y) * CELL.1
}

/// Height of a block, in eighths of a cell.
fn eighths(symbol: char) -> Option<f64> {
    let place = "▁▂▃▄▅▆▇█".chars().position(|block| block == symbol)?;
    Some(f64::from(count(place + 1)))
}

/// Whether a line is thick, and its path in the cell at these pixels.
fn line(symbol: char) -> Option<(bool, impl Fn(f64, f64) -> String)> {
    // The sides that it touches, the dash in the middle.
    let (thick, from, to) = match symbol {
        '─' => (false, 'l', 'r'),
        '│' => (false, 'u', 'd'),
        '╭' => (false, 'r', 'd'),
        '╮' => (false, 'l', 'd'),
        '╯' => (false, 'l', 'u'),
        '╰' => (false, 'r', 'u'),
        '╌' => (false, '<', '>'),
        '╎' => (false, '^', 'v'),
        '━' => (true, 'l', 'r'),
        '┃' => (true, 'u', 'd'),
        '┏' => (true, 'r', 'd'),
        '┓' => (true, 'l', 'd'),
        '┛' => (true, 'l', 'u'),
        '┗' => (true, 'r', 'u'),
        _ => return None,
    };
    let (w, h) = CELL;
    let at = move |side| match side {
        'l' => (0.0, h / 2.0),
        'r' => (w, h / 2.0),
        'u' => (w / 2.0, 0.0),
        'd' => (w / 2.0, h),
        '<' => (w * 0.2, h / 2.0),
        '>' => (w * 0.8, h / 2.0),
        '^' => (w / 2.0, h * 0.2),
        _ => (w / 2.0, h * 0.8),
    };
    Some((thick, move |x: f64, y: f64| {
        let ((fx, fy), (tx, ty)) = (at(from), at(to));
        let (cx, cy) = (x + w / 2.0, y + h / 2.0);
        format!("M{:.1} {:.1}Q{cx:.1} {cy:.1} {:.1} {:.1}", x + fx, y + fy, x + tx, y + ty)
    }))
}

/// The whole picture. `title` says what it shows.
fn svg(buffer: &Buffer, title: &str) -> String {
    let mut canvas = Canvas::default();
    let cells: Vec<&Cell> = buffer.content().iter().collect();
    for (row, y) in cells.chunks(usize::from(buffer.area.width)).zip(0..) {
        canvas.row(row, y);
    }
    let (width, height) = (left(buffer.area.width) + MARGIN, top(buffer.area.height) + MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\"\n\
         font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"14\">\n\
         <title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"10\" fill=\"{BACKGROUND}\"/>\n"
    );
    for (attributes, data) in &canvas.paths {
        let _ = writeln!(out, "<path {attributes} d=\"{data}\"/>");
    }
    out + &canvas.texts + "</svg>\n"
}

/// Fails when `docs/images/NAME` is not what was drawn; with `UPDATE_PICTURES` set, it is written first.
pub(crate) fn assert_drawn(name: &str, buffer: &Buffer, title: &str) {
    let drawn = svg(buffer, title);
    assert!(drawn.lines().all(|line| line == line.trim_end()), "whitespace at the end of a line");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images").join(name);
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        fs::create_dir_all(file.parent().expect("a directory")).expect("docs/images");
        fs::write(&file, &drawn).expect("written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == drawn,
        "docs/images/{name} is not what the view draws: look at the change after\n  \
         UPDATE_PICTURES=1 cargo test -p pointsman --bin pointsman picture"
    );
}
