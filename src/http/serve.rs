//! Serving a router on a socket, and ending orderly.
//!
//! Owns the time a connection may be open without a request in the works: a client that never finishes its headers, or
//! keeps an idle connection, is closed after one to two such times. What a request itself may cost is the router's business.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

/// How long a connection may be open without a request whose headers are complete.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until `stop`; then takes no new connection, and ends when those that are open have their answers.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    serve_with(listener, router, stop, HEADER_TIMEOUT).await
}

async fn serve_with(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    header_timeout: Duration,
) -> io::Result<()> {
    let router = router.layer(middleware::from_fn(note_request));
    let listener = TimedListener {
        listener,
        header_timeout,
    };
    axum::serve(
        listener,
        router.into_make_service_with_connect_info::<Peer>(),
    )
    .with_graceful_shutdown(stop.cancelled_owned())
    .await
}

/// Tells the connection that its headers came, and the routes who sent them.
async fn note_request(mut request: Request, next: Next) -> Response {
    let Some(ConnectInfo(peer)) = request.extensions_mut().remove::<ConnectInfo<Peer>>() else {
        return next.run(request).await;
    };
    request.extensions_mut().insert(ConnectInfo(peer.address));
    let _working = Working::new(peer.requests);
    next.run(request).await
}

/// The requests of one connection.
#[derive(Default)]
struct Requests {
    /// Those whose headers came and whose answers did not leave yet.
    open: AtomicU32,
    /// All that ever came.
    total: AtomicU32,
}

/// Counts a request as long as it is answered, also when its client goes away meanwhile.
struct Working(Arc<Requests>);

impl Working {
    fn new(requests: Arc<Requests>) -> Self {
        requests.open.fetch_add(1, Ordering::Relaxed);
        requests.total.fetch_add(1, Ordering::Relaxed);
        Self(requests)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who is at the other end, and what they wait for.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    requests: Arc<Requests>,
}

impl Connected<IncomingStream<'_, TimedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TimedListener>) -> Self {
        Self {
            address: *stream.remote_addr(),
            requests: Arc::clone(&stream.io().requests),
        }
    }
}

struct TimedListener {
    listener: TcpListener,
    header_timeout: Duration,
}

impl Listener for TimedListener {
    type Io = TimedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TimedStream, SocketAddr) {
        // Errors such as too many open files are waited out in there.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "answers on this connection may be held back a moment");
        }
        let stream = TimedStream {
            stream,
            header_timeout: self.header_timeout,
            requests: Arc::default(),
            deadline: Box::pin(tokio::time::sleep(self.header_timeout)),
            seen: 0,
        };
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when its next request takes too long to arrive.
struct TimedStream {
    stream: TcpStream,
    header_timeout: Duration,
    requests: Arc<Requests>,
    deadline: Pin<Box<Sleep>>,
    /// How many requests had come when the deadline was set without one in the works.
    seen: u32,
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whether bytes come or not: a client that sends one at a time must not keep the connection for ever. And always,
        // also with a request in the works: hyper may not read again before the deadline itself wakes it.
        while self.deadline.as_mut().poll(context).is_ready() {
            let open = self.requests.open.load(Ordering::Relaxed) > 0;
            let total = self.requests.total.load(Ordering::Relaxed);
            if !open && total == self.seen {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // Its requests had their own time limit. The next one gets a whole new deadline.
            self.seen = if open { self.seen } else { total };
            let deadline = Instant::now() + self.header_timeout;
            self.deadline.as_mut().reset(deadline);
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const SHORT: Duration = Duration::from_millis(150);

    fn router() -> Router {
        Router::new()
            .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }))
            .route(
                "/slow",
                get(|| async {
                    tokio::time::sleep(SHORT * 3).await;
                    "slow answer"
                }),
            )
    }

    async fn served(
        header_timeout: Duration,
        work: impl AsyncFnOnce(TcpStream, CancellationToken),
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let working = async {
            let stream = TcpStream::connect(address).await.unwrap();
            work(stream, stop.clone()).await;
            stop.cancel();
        };
        let serving = serve_with(listener, router(), stop.clone(), header_timeout);
        let both = async { tokio::join!(serving, working).0 };
        tokio::time::timeout(Duration::from_secs(30), both)
            .await
            .unwrap()
            .unwrap();
    }

    async fn rest(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let ended = stream.read_to_end(&mut text).await;
        assert!(ended.is_ok() || text.is_empty(), "{ended:?}");
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn routes_know_who_connects() {
        served(HEADER_TIMEOUT, async |mut stream, _| {
            stream
                .write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            assert!(rest(&mut stream).await.ends_with("127.0.0.1"));
        })
        .await;
    }

    #[tokio::test]
    async fn a_client_that_drips_its_headers_is_closed() {
        served(SHORT, async |mut stream, _| {
            stream.write_all(b"GET /peer HTTP/1.1\r\n").await.unwrap();
            let (mut reader, mut writer) = stream.split();
            let dripping = async {
                while writer.write_all(b"X: y\r\n").await.is_ok() {
                    tokio::time::sleep(SHORT / 10).await;
                }
            };
            let mut answer = Vec::new();
            tokio::select! {
                () = dripping => {}
                _ended = reader.read_to_end(&mut answer) => {}
            }
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
        })
        .await;
    }

    #[tokio::test]
    async fn a_request_in_the_works_is_not_cut_off_and_an_idle_connection_is() {
        served(SHORT, async |mut stream, _| {
            stream
                .write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .unwrap();
            // Without `Connection: close` the end comes only from the deadline of the next request.
            assert!(rest(&mut stream).await.ends_with("slow answer"));
        })
        .await;
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_answer() {
        served(HEADER_TIMEOUT, async |mut stream, stop| {
            stream
                .write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .unwrap();
            tokio::time::sleep(SHORT).await;
            stop.cancel();
            assert!(rest(&mut stream).await.ends_with("slow answer"));
        })
        .await;
    }
}
