//! `pointsman top`: the routing monitor, a live view of a running process from its admin API.
//!
//! A thread asks `/v1/status` and `/metrics` again and again and tells [`Monitor`], which makes the [`Model`] that [`Ui`] draws.
//! It only looks: it must never change anything in the process that it watches.

mod draw;
mod keys;
mod metrics;
mod model;
mod monitor;
#[cfg(test)]
mod sample;

use crate::{http, screen::terminal};
use keys::Ui;
use model::Model;
use monitor::Monitor;
use std::{
    process::ExitCode,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// Time between two looks.
const AGAIN: Duration = Duration::from_secs(1);
/// Whoever does not answer within this time does not answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Watches the process behind this admin API until the user has seen enough.
pub(crate) fn run(admin: &str) -> ExitCode {
    if !terminal::possible() {
        eprintln!(
            "pointsman: top needs a terminal (standard input and output, TERM not `dumb`); \
             `pointsman status --watch` shows the same as text"
        );
        return ExitCode::FAILURE;
    }
    let monitor = Monitor::new(admin);
    let (models, seen) = watch::channel(monitor.model());
    let (stop, stopped) = channel();
    // Not waited for: it may be in the middle of a question, and holds nothing.
    thread::spawn(move || look(monitor, &models, &stopped));
    let (commands, _nobody) = mpsc::channel(1);
    let shown = terminal::show(Ui::new(terminal::colour()), seen, commands);
    drop(stop);
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pointsman: the terminal: {error}");
            ExitCode::FAILURE
        }
    }
}

fn look(mut monitor: Monitor, models: &watch::Sender<Model>, stopped: &Receiver<()>) {
    let began = Instant::now();
    loop {
        let asked = ask(monitor.admin());
        monitor.tell(asked, crate::status::now_ms(), began.elapsed());
        if models.send(monitor.model()).is_err() {
            return;
        }
        if stopped.recv_timeout(AGAIN) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// Status and metrics.
fn ask(admin: &str) -> Result<(String, String), String> {
    let get = |path| http::get_within(admin, path, ANSWER);
    Ok((get("/v1/status")?, get("/metrics")?))
}
