//! The live view of `pointsman demo`: two clusters, Pointsman and the clients in a terminal, and keys that break things.
//!
//! The stage fills a [`Model`] and sends it over a watch channel; [`show`] draws it about ten times a second and sends what
//! the user asks for as [`Command`]s. The view knows neither brokers nor processes: it only draws and listens to keys.

mod draw;
mod history;
mod keys;
mod model;
#[cfg(test)]
mod picture;
#[cfg(test)]
mod sample;

pub(crate) use self::{
    history::History,
    keys::Command,
    model::{Broker, BrokerId, BrokerState, Client, ClientKind, Cluster, Event, Model, Slot, Switch},
};
pub(crate) use crate::screen::{events::EventKind, terminal::possible};

use self::keys::Ui;
use crate::screen::terminal;
use tokio::sync::{mpsc, watch};

/// Shows the stage until the user quits; see [`terminal::show`].
pub(crate) fn show(models: watch::Receiver<Model>, commands: mpsc::Sender<Command>) -> std::io::Result<()> {
    terminal::show(Ui { colour: terminal::colour(), ..Ui::default() }, models, commands)
}
