//! The server under every HTTP server of the tests: on a port of its own, and gone with what is returned.

use std::net::SocketAddr;

use axum::Router;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Serves `app` on loopback. It ends without grace: a request that is never answered must not keep it.
pub(crate) async fn listen(app: Router) -> (SocketAddr, DropGuard) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let ended = stop.clone().cancelled_owned();
    TaskTracker::new().spawn(async move {
        tokio::select! {
            served = axum::serve(listener, app) => served.unwrap(),
            () = ended => {}
        }
    });
    (address, stop.drop_guard())
}
