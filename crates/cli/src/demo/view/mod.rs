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
mod terminal;

pub(crate) use self::{
    history::History,
    keys::Command,
    model::{
        Broker, BrokerId, BrokerState, Client, ClientKind, Cluster, Event, EventKind, Model, Slot, Switch,
    },
    terminal::{possible, show},
};
