//! The help, over everything else.

use super::{line::Pieces, theme::Theme, words};
use crate::demo::view::{keys::HINTS, model::Model};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    widgets::{Block, BorderType, Clear, Padding, Widget},
};

const WIDTH: u16 = 78;

pub(super) fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let lines = lines(model, theme);
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

fn lines(model: &Model, theme: Theme) -> Vec<Pieces> {
    let plain = |text: &str| Pieces::new(text, theme.plain());
    let names: Vec<&str> = model.clusters.iter().map(|cluster| &*cluster.name).collect();
    let mut lines = vec![
        plain("Clients know one address: Pointsman's. It serves them from one of several"),
        Pieces::new(format!("Kafka clusters, here {}. When the active", words::list(&names)), theme.plain()),
        plain("cluster loses its quorum, the next one serves: no client is told anything new."),
        plain("Break something, and watch the gap in the chart."),
        Pieces::default(),
    ];
    lines.extend(HINTS.iter().map(|hint| {
        Pieces::new(format!(" {} ", hint.key), theme.key()).pad(6).and(hint.help, theme.plain())
    }));
    lines.push(Pieces::default());
    let (join, topic) = (&model.join, &model.topic);
    for command in [
        format!("kcat -b {join} -t {topic} -C"),
        format!("kafka-console-producer.sh --bootstrap-server {join} --topic {topic}"),
    ] {
        lines.push(Pieces::new(command, theme.strong()));
    }
    lines.push(Pieces::new("work from another terminal. Any key closes this page.", theme.plain()));
    lines
}
