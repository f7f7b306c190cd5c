//! What a client may cost, over real sockets.

use super::*;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(30);
const HASTY: Patience = Patience {
    headers: SHORT,
    answer: SHORT,
};

/// More than the buffers of two sockets take.
const LARGE: usize = 64 << 20;

fn router() -> Router {
    Router::new()
        .route(
            "/peer",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }),
        )
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/large", get(|| async { vec![b'x'; LARGE] }))
        .route(
            "/slow",
            get(|| async {
                sleep(SHORT * 3).await;
                "slow answer"
            }),
        )
}

async fn served(
    seats: usize,
    patience: Patience,
    work: impl AsyncFnOnce(SocketAddr, CancellationToken),
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let working = async {
        work(address, stop.clone()).await;
        stop.cancel();
    };
    let seats = Seats::new(seats);
    let serving = serve_with(listener, router(), seats, stop.clone(), patience);
    let both = async { tokio::join!(serving, working) };
    tokio::time::timeout(LONG, both).await.unwrap();
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

async fn ask(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Everything up to the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let ended = stream.read_to_end(&mut text).await;
    assert!(ended.is_ok() || text.is_empty(), "{ended:?}");
    String::from_utf8(text).unwrap()
}

/// One answer of a connection that stays open.
async fn answer(stream: &mut TcpStream, ending: &str) {
    let mut text = String::new();
    while !text.ends_with(ending) {
        let mut bytes = [0; 1024];
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
}

#[tokio::test]
async fn routes_know_who_connects() {
    served(1, PATIENCE, async |address, _| {
        let mut stream = connect(address).await;
        ask(&mut stream, "/peer").await;
        answer(&mut stream, "127.0.0.1").await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_drips_its_headers_is_closed() {
    served(1, HASTY, async |address, _| {
        let mut stream = connect(address).await;
        stream.write_all(b"GET /peer HTTP/1.1\r\n").await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let dripping = async {
            while writer.write_all(b"X: y\r\n").await.is_ok() {
                sleep(SHORT / 10).await;
            }
        };
        let mut text = Vec::new();
        tokio::select! {
            () = dripping => {}
            _ended = reader.read_to_end(&mut text) => {}
        }
        assert!(!text.starts_with(b"HTTP/1.1 200"), "{text:?}");
    })
    .await;
}

#[tokio::test]
async fn headers_without_end_are_refused_before_they_fill_the_memory() {
    served(1, PATIENCE, async |address, _| {
        let mut stream = connect(address).await;
        let endless = "X: y\r\n".repeat(CONNECTION_BUFFER / 6 + 1);
        let request = format!("GET /peer HTTP/1.1\r\n{endless}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let told = rest(&mut stream).await;
        assert!(told.starts_with("HTTP/1.1 431 "), "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_request_in_the_works_is_not_cut_off_and_an_idle_connection_is() {
    served(1, HASTY, async |address, _| {
        let mut stream = connect(address).await;
        ask(&mut stream, "/slow").await;
        // Without `Connection: close` the end comes only from the deadline of the next request.
        assert!(rest(&mut stream).await.ends_with("slow answer"));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    served(1, HASTY, async |address, _| {
        let mut stream = connect(address).await;
        ask(&mut stream, "/large").await;
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.unwrap();
        // Not replaced while its answer leaves: the seat is free only when that connection was cut off.
        let mut next = connect(address).await;
        ask(&mut next, "/peer").await;
        answer(&mut next, "127.0.0.1").await;
        let mut text = Vec::new();
        let ended = stream.read_to_end(&mut text).await;
        assert!(ended.is_err() || text.len() < LARGE, "{} read", text.len());
    })
    .await;
}

#[tokio::test]
async fn a_newcomer_replaces_an_idle_connection_and_waits_for_a_busy_one() {
    served(1, PATIENCE, async |address, _| {
        let mut idle = connect(address).await;
        ask(&mut idle, "/peer").await;
        answer(&mut idle, "127.0.0.1").await;
        let mut busy = connect(address).await;
        ask(&mut busy, "/slow").await;
        assert_eq!(rest(&mut idle).await, "", "it was to be closed");
        let mut newcomer = connect(address).await;
        ask(&mut newcomer, "/peer").await;
        answer(&mut busy, "slow answer").await;
        answer(&mut newcomer, "127.0.0.1").await;
    })
    .await;
}

#[tokio::test]
async fn a_newcomer_replaces_a_client_that_takes_its_time_with_its_body() {
    served(1, PATIENCE, async |address, _| {
        let mut slow = connect(address).await;
        let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n";
        slow.write_all(head.as_bytes()).await.unwrap();
        slow.write_all(b"half").await.unwrap();
        let mut newcomer = connect(address).await;
        ask(&mut newcomer, "/peer").await;
        answer(&mut newcomer, "127.0.0.1").await;
        assert_eq!(rest(&mut slow).await, "");

        // One that has sent all of it is answered first.
        let mut whole = connect(address).await;
        whole.write_all(head.as_bytes()).await.unwrap();
        whole.write_all(b"the whole").await.unwrap();
        answer(&mut whole, "the whole").await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_waits_for_the_answer() {
    served(2, PATIENCE, async |address, stop| {
        let (mut busy, mut idle) = (connect(address).await, connect(address).await);
        ask(&mut idle, "/peer").await;
        answer(&mut idle, "127.0.0.1").await;
        ask(&mut busy, "/slow").await;
        sleep(SHORT).await;
        stop.cancel();
        assert_eq!(rest(&mut idle).await, "");
        assert!(rest(&mut busy).await.ends_with("slow answer"));
    })
    .await;
}
