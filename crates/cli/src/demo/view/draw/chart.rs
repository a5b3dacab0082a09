//! Acknowledged records over time. A failover is the gap; the band below says which cluster acknowledged.

use super::{line::Pieces, theme::Theme, words};
use crate::{
    demo::view::{
        history::{BUCKET, CLUSTERS, History, index},
        model::Model,
    },
    screen::events::{self, EventKind},
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    widgets::{Block, Borders, Widget},
};

/// Buckets in a column. Columns begin at multiples of it, so that bars do not flicker while time passes.
const BUCKETS: usize = 2;
/// Columns for the numbers at the left.
const SCALE: u16 = 6;
/// From this height on there is room for the times.
const TIMES: u16 = 7;
const ALONG: char = '━';
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    title(theme, area, buffer);
    let times = u16::from(area.height >= TIMES);
    let bars = Rect {
        x: area.x + SCALE,
        width: area.width - SCALE - 1,
        y: area.y + 1,
        height: area.height.saturating_sub(2 + times),
    };
    let band = Rect { y: bars.bottom(), height: 1, ..bars };
    let window = Window::of(model, usize::from(bars.width));
    let columns = window.columns(&model.history);
    let ceiling = ceiling(&columns);
    scale(ceiling, theme, area.x, bars, buffer);
    for (x, column) in (bars.x..).zip(&columns) {
        bar(column, ceiling, theme, x, bars, buffer);
    }
    served_by(&columns, theme, band, buffer);
    marks(model, &window, theme, band, buffer);
    names(model, &columns, theme, band, buffer);
    gap(model, &window, &columns, theme, bars, buffer);
    if times > 0 {
        axis(theme, Rect { y: band.bottom(), ..band }, buffer);
    }
}

fn title(theme: Theme, area: Rect, buffer: &mut Buffer) {
    let per = BUCKET.as_millis();
    let block = Block::new().borders(Borders::TOP).border_style(theme.quiet());
    let left = Pieces::new(format!("─ Acknowledged records per {per} ms "), theme.bold());
    let mut legend = Pieces::default();
    for (kind, word) in [(EventKind::Fault, "fault"), (EventKind::Switch, "switch")] {
        let (symbol, style) = events::symbol(kind, theme);
        legend = legend.and(format!(" {symbol}"), style).and(format!(" {word}"), theme.quiet());
    }
    let legend = legend.and(" ─", theme.quiet());
    block.title(left.line()).title(legend.line().right_aligned()).render(area, buffer);
}

/// The columns on the screen, by the number of buckets since the beginning divided by [`BUCKETS`].
struct Window {
    /// The column after the last complete one.
    end: usize,
    width: usize,
}

impl Window {
    fn of(model: &Model, width: usize) -> Self {
        Self { end: index(model.now) / BUCKETS, width }
    }

    fn columns(&self, history: &History) -> Vec<Column> {
        let column = |place: usize| {
            let number = (self.end + place).checked_sub(self.width);
            number.map_or_else(Column::default, |number| Column::of(history, number))
        };
        (0..self.width).map(column).collect()
    }

    /// The place of a moment, counted from the left; what is not yet complete stands at the right end.
    fn place(&self, at: std::time::Duration) -> Option<u16> {
        let number = (index(at) / BUCKETS).min(self.end.saturating_sub(1));
        let place = (number + self.width).checked_sub(self.end)?;
        u16::try_from(place).ok()
    }
}

/// What was acknowledged within the time of one column.
#[derive(Debug, Default)]
struct Column {
    /// Records per bucket.
    height: u32,
    /// Who acknowledged most. `None`: nobody.
    by: Option<usize>,
    /// Whether anything had been counted by then.
    counted: bool,
}

impl Column {
    fn of(history: &History, number: usize) -> Self {
        let buckets = (0..BUCKETS).filter_map(|i| history.get(number * BUCKETS + i));
        let mut acked = [0_u32; CLUSTERS];
        let mut counted = false;
        for bucket in buckets {
            counted = true;
            acked.iter_mut().zip(bucket.acked).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        }
        let total = acked.iter().fold(0_u32, |sum, more| sum.saturating_add(*more));
        let most = (0..CLUSTERS).max_by_key(|index| acked[*index]);
        let parts = u32::try_from(BUCKETS).unwrap_or(1);
        Self { height: total.div_ceil(parts), by: most.filter(|_| total > 0), counted }
    }
}

/// The number at the top of the scale. A burst far beyond the usual is cut.
fn ceiling(columns: &[Column]) -> u32 {
    let mut heights: Vec<u32> = columns.iter().map(|c| c.height).filter(|height| *height > 0).collect();
    heights.sort_unstable();
    let usual = heights.get(heights.len() / 2).copied().unwrap_or(0);
    let highest = heights.last().copied().unwrap_or(0).min(usual.saturating_add(usual / 4));
    round_up(highest.saturating_add(highest / 8).max(10))
}

/// Up to a number that reads well.
fn round_up(number: u32) -> u32 {
    let unit = 10_u32.pow(number.max(1).ilog10());
    let steps = [10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100];
    let rounded = steps.iter().map(|step| unit.saturating_mul(*step) / 10).find(|step| *step >= number);
    rounded.unwrap_or(number)
}

fn scale(ceiling: u32, theme: Theme, x: u16, bars: Rect, buffer: &mut Buffer) {
    let width = SCALE - 1;
    let mut number = |number: u32, y: u16| {
        let area = Rect { x, y, width: width + 1, height: 1 };
        Pieces::new(words::number(number.into()), theme.quiet()).put_right(area, buffer);
    };
    number(ceiling, bars.y);
    if bars.height > 1 {
        number(0, bars.bottom() - 1);
    }
}

fn bar(column: &Column, ceiling: u32, theme: Theme, x: u16, bars: Rect, buffer: &mut Buffer) {
    let Some(by) = column.by else { return };
    let steps = u64::from(bars.height) * 8;
    let level = (u64::from(column.height) * steps).div_ceil(u64::from(ceiling)).min(steps);
    let cut = column.height > ceiling;
    for (row, y) in (bars.y..bars.bottom()).rev().enumerate() {
        let below = u64::try_from(row).unwrap_or(0) * 8;
        let part = usize::try_from(level.saturating_sub(below).min(8)).unwrap_or(8);
        let top = cut && y == bars.y;
        put(buffer, x, y, if top { '▲' } else { EIGHTHS[part] }, theme.cluster(by));
    }
}

/// A band that says who acknowledged, and where nobody did.
fn served_by(columns: &[Column], theme: Theme, band: Rect, buffer: &mut Buffer) {
    for (column, x) in columns.iter().zip(band.x..) {
        match (column.by, column.counted) {
            (Some(by), _) => put(buffer, x, band.y, ALONG, theme.cluster(by)),
            (None, true) => put(buffer, x, band.y, '·', theme.bad()),
            (None, false) => {}
        }
    }
}

/// The names of the clusters on their parts of the band, where no mark stands.
fn names(model: &Model, columns: &[Column], theme: Theme, band: Rect, buffer: &mut Buffer) {
    let mut x = band.x;
    for run in columns.chunk_by(|a, b| a.by == b.by) {
        let width = u16::try_from(run.len()).unwrap_or(u16::MAX);
        let area = Rect { x, width, ..band };
        x = x.saturating_add(width);
        if let Some(by) = run[0].by {
            name(model.name(Some(by)), theme.cluster(by), area, buffer);
        }
    }
}

/// As near to the middle as possible, with a piece of the line on both sides.
fn name(name: &str, style: Style, area: Rect, buffer: &mut Buffer) {
    let width = u16::try_from(name.chars().count() + 2).unwrap_or(u16::MAX);
    let Some(room) = area.width.checked_sub(width.saturating_add(2)) else { return };
    let free = |x: &u16| {
        let mut cells = (*x - 1..=*x + width).map(|x| buffer.cell((x, area.y)));
        cells.all(|cell| cell.is_some_and(|cell| cell.symbol().starts_with(ALONG)))
    };
    let first = area.x + 1;
    let middle = first + room / 2;
    if let Some(x) = (first..=first + room).filter(free).min_by_key(|x| x.abs_diff(middle)) {
        Pieces::new(format!(" {name} "), style).put(Rect { x, width, ..area }, buffer);
    }
}

/// The duration of the last switch, above the gap that it left.
fn gap(model: &Model, window: &Window, columns: &[Column], theme: Theme, bars: Rect, buffer: &mut Buffer) {
    let Some(switch) = &model.last_switch else { return };
    let (Some(took), Some(place)) = (switch.took, window.place(switch.at)) else { return };
    let empty = columns.iter().skip(usize::from(place)).take_while(|column| column.by.is_none()).count();
    let Some(end) = u16::try_from(empty).ok().filter(|empty| *empty > 0).map(|empty| bars.x + place + empty)
    else {
        return;
    };
    let words = words::length(took);
    let width = u16::try_from(words.len()).unwrap_or(0);
    let Some(x) = end.checked_sub(width).filter(|x| *x >= bars.x) else { return };
    let free = |x| buffer.cell((x, bars.y)).is_some_and(|cell| cell.symbol() == " ");
    if (x..end).all(free) {
        Pieces::new(words, theme.bold()).put(Rect { x, y: bars.y, width, height: 1 }, buffer);
    }
}

/// Faults and switches, on the band. A switch hides a fault in the same column.
fn marks(model: &Model, window: &Window, theme: Theme, band: Rect, buffer: &mut Buffer) {
    for kind in [EventKind::Fault, EventKind::Switch] {
        for event in model.events.iter().filter(|event| event.kind == kind) {
            if let Some(place) = window.place(event.at).filter(|place| *place < band.width) {
                let (symbol, style) = events::symbol(kind, theme);
                put(buffer, band.x + place, band.y, symbol, style);
            }
        }
    }
}

/// Times before now, every five seconds.
fn axis(theme: Theme, area: Rect, buffer: &mut Buffer) {
    const EVERY: u16 = 5;
    let second = u16::try_from(1_000 / (BUCKET.as_millis() * 2)).unwrap_or(1);
    let text = |words: String, end: u16, buffer: &mut Buffer| {
        let width = u16::try_from(words.chars().count()).unwrap_or(0);
        if end >= area.x + width {
            let area = Rect { x: end - width, width, ..area };
            Pieces::new(words, theme.quiet()).put(area, buffer);
        }
    };
    text("now".into(), area.right(), buffer);
    for seconds in (EVERY..).step_by(usize::from(EVERY)).take_while(|s| s * second < area.width) {
        text(format!("-{seconds} s"), area.right() - seconds * second, buffer);
    }
}

fn put(buffer: &mut Buffer, x: u16, y: u16, symbol: char, style: Style) {
    if let Some(cell) = buffer.cell_mut((x, y)) {
        cell.set_char(symbol).set_style(style);
    }
}
