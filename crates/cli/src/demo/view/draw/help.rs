//! The help, over everything else.

use super::{line::Pieces, theme::Theme, words};
use crate::{
    demo::view::{keys::hints, model::Model},
    screen::help,
};
use ratatui::{buffer::Buffer, layout::Rect};

pub(super) fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    help::draw(lines(model, theme), theme, area, buffer);
}

fn lines(model: &Model, theme: Theme) -> Vec<Pieces> {
    let plain = |text: &str| Pieces::new(text, theme.plain());
    let names: Vec<&str> = model.clusters.iter().map(|cluster| &*cluster.name).collect();
    let mut lines = vec![
        plain("Clients know one address: Pointsman's. It serves them from one of several"),
        Pieces::new(format!("Kafka clusters, here {}. When the active", words::list(&names)), theme.plain()),
        plain("cluster loses its quorum, the next one serves, and no client is restarted."),
        plain("Break something, and watch the gap in the chart."),
        Pieces::default(),
    ];
    lines.extend(help::lines(&hints(model), theme));
    lines.push(Pieces::default());
    let (join, topic) = (&model.join, &model.topic);
    for command in [
        format!("kcat -b {join} -t {topic} -C"),
        format!("kafka-console-producer.sh --bootstrap-server {join} --topic {topic}"),
        format!("pointsman top --admin {}", model.admin),
    ] {
        lines.push(Pieces::new(command, theme.strong()));
    }
    lines.push(Pieces::new("work from another terminal. Any key closes this page.", theme.plain()));
    lines
}
