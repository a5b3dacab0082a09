//! Connections of the admin API: few, each with deadlines, all ended in order at shutdown.

use super::{Api, router};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use pointsman_core::limits;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

/// How long nothing is accepted after an error that is likely to stay a moment, e.g. no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then ends idle connections at once and others after their answer. Connections run under
/// `api.tasks`; whoever waits for those has waited for them.
pub async fn serve(listener: TcpListener, api: Api, stop: CancellationToken) {
    let tasks = api.tasks.clone();
    serve_router(listener, router(api), tasks, stop).await;
}

/// The same for any routes, under the limits of the admin API.
pub(crate) async fn serve_router(
    listener: TcpListener,
    router: Router,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let free = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => match free.clone().try_acquire_owned() {
                Ok(permit) => {
                    let connection = connection(stream, router.clone(), stop.clone());
                    tasks.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(_) => debug!(%peer, "admin connection refused: {} are open", limits::ADMIN_CONNECTIONS),
            },
            Err(error) => {
                warn!("the admin listener cannot accept: {error}");
                stop.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::ADMIN_TIMEOUT)
        .max_buf_size(limits::ADMIN_BODY)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        debug!("admin connection: {error}");
    }
}
