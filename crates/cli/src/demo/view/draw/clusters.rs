//! The clusters: role, brokers, and who leads what.

use super::{line::Pieces, theme::Theme};
use crate::demo::view::{
    keys::Ui,
    model::{Broker, BrokerId, BrokerState, Cluster, Model, Role},
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    widgets::{Block, BorderType, Widget},
};

/// Draws one box below the other, and says where they are.
pub(super) fn draw(model: &Model, ui: &Ui, theme: Theme, area: Rect, buffer: &mut Buffer) -> Vec<Rect> {
    let boxes = boxes(model, area);
    for (index, (cluster, area)) in model.clusters.iter().zip(&boxes).enumerate() {
        draw_cluster(model, ui, theme, index, cluster, *area, buffer);
    }
    boxes
}

/// Where a row is missing, boxes share a border.
fn boxes(model: &Model, area: Rect) -> Vec<Rect> {
    let heights: Vec<u16> = model.clusters.iter().map(height).collect();
    let shared = u16::from(heights.iter().sum::<u16>() > area.height);
    let mut y = area.y;
    let place = |height: u16| {
        let here = Rect { y, height, ..area }.intersection(area);
        y = (y + height).saturating_sub(shared);
        here
    };
    heights.into_iter().map(place).filter(|area| area.height > 0).collect()
}

fn height(cluster: &Cluster) -> u16 {
    u16::try_from(cluster.brokers.len()).unwrap_or(u16::MAX).saturating_add(2)
}

fn draw_cluster(
    model: &Model,
    ui: &Ui,
    theme: Theme,
    index: usize,
    cluster: &Cluster,
    area: Rect,
    buffer: &mut Buffer,
) {
    let active = model.active == Some(index);
    let border = if active { theme.cluster(index).add_modifier(Modifier::BOLD) } else { theme.quiet() };
    let kind = if active { BorderType::Thick } else { BorderType::Rounded };
    let name = Pieces::new(format!(" {} ", cluster.name), theme.cluster(index).add_modifier(Modifier::BOLD));
    let role = role(model, index, cluster, theme, usize::from(area.width).saturating_sub(name.width() + 4));
    let block = Block::bordered().border_type(kind).border_style(border);
    let inside = block.inner(area);
    block.title(name.line().left_aligned()).title(role.line().right_aligned()).render(area, buffer);
    let first = model.brokers().position(|id| id.cluster == index).unwrap_or(0);
    for ((place, broker), row) in cluster.brokers.iter().enumerate().zip(inside.rows()) {
        let selected = ui.selected == BrokerId { cluster: index, broker: place };
        broker_line(broker, first + place + 1, selected, theme, usize::from(row.width)).put(row, buffer);
    }
}

/// Role and health, at the right of the title.
fn role(model: &Model, index: usize, cluster: &Cluster, theme: Theme, room: usize) -> Pieces {
    let (words, style) = match model.role(index) {
        Role::Starting => ("◌ starts", theme.warning()),
        Role::Active => ("● ACTIVE", theme.good()),
        Role::Failing => ("! ACTIVE, no quorum", theme.warning()),
        Role::Standby => ("○ standby", theme.plain()),
        Role::NoQuorum => ("✗ NO QUORUM", theme.bad()),
    };
    let (up, all, needed) = (cluster.up(), cluster.brokers.len(), cluster.needed);
    let counts = super::words::fitting(
        room.saturating_sub(words.chars().count() + 4),
        &[format!("{up} of {all} up, needs {needed}"), format!("{up} of {all} up"), format!("{up}/{all}")],
    );
    Pieces::new(format!(" {words}"), style).and(format!(", {counts} "), theme.plain())
}

fn broker_line(broker: &Broker, key: usize, selected: bool, theme: Theme, width: usize) -> Pieces {
    let (state, style) = match broker.state {
        BrokerState::Starting => ("◌ starts", theme.warning()),
        BrokerState::Up => ("● up", theme.good()),
        BrokerState::Killed => ("✗ killed", theme.bad()),
        BrokerState::Paused => ("‖ paused", theme.warning()),
        BrokerState::Recovery => ("! recovery", theme.warning()),
        BrokerState::Restarting => ("◌ restarts", theme.warning()),
    };
    let (mark, name) = if selected { ("▸", theme.key()) } else { (" ", theme.plain()) };
    let line = Pieces::new(mark, theme.bold())
        .and(key.to_string(), if selected { theme.key() } else { theme.strong() })
        .and(format!(" broker {}", broker.node), name)
        .pad(12)
        .and(state, style)
        .pad(21);
    let room = width.saturating_sub(line.width());
    line.and(leads(broker, room), leads_style(broker, theme))
}

fn leads_style(broker: &Broker, theme: Theme) -> Style {
    if broker.leads.is_empty() { theme.quiet() } else { theme.plain() }
}

/// The partitions that it leads, or how many.
fn leads(broker: &Broker, room: usize) -> String {
    if broker.leads.is_empty() {
        return if broker.state == BrokerState::Up { "leads none".into() } else { String::new() };
    }
    let numbers: Vec<String> = broker.leads.iter().map(u32::to_string).collect();
    let count = numbers.len();
    let all = numbers.join(" ");
    super::words::fitting(
        room,
        &[
            format!("leads partitions {}", numbers.join(", ")),
            format!("leads {}", numbers.join(", ")),
            format!("leads {all}"),
            format!("{count} partitions"),
        ],
    )
}
