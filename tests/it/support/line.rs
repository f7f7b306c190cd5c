//! The line to a server, as a test may have it fall silent: nothing comes through any more, and nobody is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A way to a server that goes through the test; gone with this value.
pub(crate) struct Line {
    address: SocketAddr,
    /// Cancelled when the connections of this moment fall silent.
    carries: Arc<Mutex<CancellationToken>>,
    _stop: DropGuard,
}

impl Line {
    /// A line to `server`.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let carries = Arc::<Mutex<CancellationToken>>::default();
        let stop = CancellationToken::new();
        let (stopped, current) = (stop.clone(), carries.clone());
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((here, _)) = listener.accept().await {
                let carries = current.lock().unwrap().clone();
                let carried = carry(here, server, carries);
                TaskTracker::new().spawn(stopped.clone().run_until_cancelled_owned(carried));
            }
        }));
        Self {
            address,
            carries,
            _stop: stop.drop_guard(),
        }
    }

    /// Where to connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every connection that is open carries nothing any more, and stays open; later ones are sound.
    pub(crate) fn fall_silent(&self) {
        std::mem::take(&mut *self.carries.lock().unwrap()).cancel();
    }
}

async fn carry(mut here: TcpStream, server: SocketAddr, carries: CancellationToken) {
    let mut there = TcpStream::connect(server).await.unwrap();
    let copied = copy_bidirectional(&mut here, &mut there);
    if carries.run_until_cancelled(copied).await.is_none() {
        // Both ends stay in hand, so neither side sees the other hang up.
        std::future::pending::<()>().await;
    }
}
