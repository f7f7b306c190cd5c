//! Serving a router on a socket: how many may be connected, what one connection may cost, and ending orderly.
//!
//! Owns the time a client may take for its headers, for a next request, and for reading its answer; a client that takes
//! longer is cut off. What a request itself may cost is the router's business. HTTP/1 only: nobody who posts here needs
//! more, and the streams of one HTTP/2 connection would have to be bounded once more.

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::seats::{Seat, Seats};

/// How many bytes of a request or an answer one connection may hold back in each direction. Headers that are longer
/// are answered 431: Stripe's have some 500 bytes, a browser's cookies a few thousand.
pub const CONNECTION_BUFFER: usize = 32 << 10;

/// What clients are waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For the headers of the next request to be complete.
    headers: Duration,
    /// For the client to take what was written to it.
    answer: Duration,
}

const PATIENCE: Patience = Patience {
    headers: Duration::from_secs(30),
    answer: Duration::from_secs(30),
};

/// How long to wait where the system cannot take a connection: out of files or memory.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// Serves at most `max_connections` at once until `stop`; then takes no new connection, and ends when those that are
/// open have their answers.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    stop: CancellationToken,
) {
    serve_with(
        listener,
        router,
        Seats::new(max_connections),
        stop,
        PATIENCE,
    )
    .await;
}

async fn serve_with(
    listener: TcpListener,
    router: Router,
    seats: Arc<Seats>,
    stop: CancellationToken,
    patience: Patience,
) {
    let connections = TaskTracker::new();
    while let Some((stream, peer)) = stop.run_until_cancelled(accept(&listener, &seats)).await {
        // A client without a seat is accepted and waits here: at most one does, the others wait in the system's queue.
        let Some(seat) = stop.run_until_cancelled(seats.take()).await else {
            break;
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(connection(stream, peer, router, seat, stop, patience));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(listener: &TcpListener, seats: &Seats) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client went away before it was taken.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken now; raise the limit of open files (ulimit -n) or lower `server.max_connections`");
                seats.make_room();
                sleep(OUT_OF_FILES).await;
            }
        }
    }
}

/// One connection from its first byte to its last.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    seat: Arc<Seat>,
    stop: CancellationToken,
    patience: Patience,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "answers on this connection may be held back a moment");
    }
    let io = TokioIo::new(Steady::new(stream, patience.answer));
    let of_requests = Arc::clone(&seat);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (arriving, leaving) = (Arc::clone(&of_requests), Arc::clone(&of_requests));
        let mut request: Request = request.map(|body| Body::new(Arriving::new(body, arriving)));
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().oneshot(request);
        async move {
            answer.await.map(|answer: Response| {
                answer.map(|body| Leaving {
                    body,
                    seat: leaving,
                })
            })
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.headers)
        .max_buf_size(CONNECTION_BUFFER)
        .serve_connection(io, service);
    let mut served = std::pin::pin!(served);
    let leave = async {
        tokio::select! {
            () = seat.is_needed() => seat.waits(),
            () = stop.cancelled() => false,
        }
    };
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        at_once = leave => {
            if at_once {
                return;
            }
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        // Strangers break connections all day.
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a connection broke"
        );
    }
}

/// The body of a request, on its way in: while it arrives its client is waited for.
struct Arriving {
    body: Incoming,
    seat: Arc<Seat>,
}

impl Arriving {
    fn new(body: Incoming, seat: Arc<Seat>) -> Self {
        seat.wait();
        let arriving = Self { body, seat };
        arriving.look();
        arriving
    }

    fn look(&self) {
        if self.body.is_end_stream() {
            self.seat.serve();
        }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.look();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    /// All of it was read, or nobody wants the rest.
    fn drop(&mut self) {
        self.seat.serve();
    }
}

/// The body of an answer, on its way out. When it has left the client is waited for again.
struct Leaving {
    body: Body,
    seat: Arc<Seat>,
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.seat.wait();
    }
}

/// A stream that ends when the other side does not take what is written to it.
///
/// Whoever takes a little now and then does not gain time by it: the time begins when a write has to wait, and ends
/// only with a write that goes through as a whole.
struct Steady {
    stream: TcpStream,
    patience: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Steady {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            deadline: None,
        }
    }

    /// What became of a write of `length` bytes.
    fn wrote(
        &mut self,
        context: &mut Context<'_>,
        length: usize,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(taken)) = &written
            && *taken >= length
        {
            self.deadline = None;
            return written;
        }
        let patience = self.patience;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Ready(ready!(written))
    }
}

impl AsyncRead for Steady {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Steady {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(context, bytes.len(), written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        let length = parts.iter().map(|part| part.len()).sum();
        self.wrote(context, length, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
