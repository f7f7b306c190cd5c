//! A Redis of a test's own, which it may stop, kill and start again without harm to anybody else.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::Rng as _;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use super::process::PATIENCE;

/// A Redis server; gone with this value.
pub(crate) struct RedisServer {
    port: u16,
    child: Option<Child>,
    home: TempDir,
}

impl RedisServer {
    /// An empty one that answers.
    pub(crate) async fn start() -> Self {
        let mut server = Self {
            port: 0,
            child: None,
            home: tempfile::tempdir().unwrap(),
        };
        // Somebody else may take the port between here and the start.
        for _ in 0..5 {
            server.port = free_port();
            if server.begin().await {
                return server;
            }
        }
        panic!("redis-server does not start; `scripts/test --services` installs it");
    }

    /// What goes into `REDIS_URL`.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it as a crash would: everything it knew is gone, nobody listens on its port.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            drop(child.kill());
            child.wait().unwrap();
        }
    }

    /// Starts it again, empty, where it was.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        assert!(self.begin().await, "Redis did not start again");
    }

    /// It takes connections, as the system does that for it, and answers nobody.
    pub(crate) fn hang(&self) {
        self.signal("STOP");
    }

    /// It answers again, also what it was asked meanwhile.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    /// Whether there is a process that might answer.
    pub(crate) fn runs(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        self.connect().await.unwrap()
    }

    /// Forgets everything.
    pub(crate) async fn flush(&self) {
        let mut connection = self.connection().await;
        let flush = redis::cmd("FLUSHALL");
        flush.exec_async(&mut connection).await.unwrap();
    }

    /// The keys that contain a text.
    pub(crate) async fn keys(&self, text: &str) -> Vec<String> {
        let mut connection = self.connection().await;
        let keys = redis::cmd("KEYS").arg(format!("*{text}*")).to_owned();
        keys.query_async(&mut connection).await.unwrap()
    }

    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let client = redis::Client::open(self.url())?;
        client.get_multiplexed_async_connection().await
    }

    async fn begin(&mut self) -> bool {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let child = child.expect("redis-server is installed by `scripts/test --services`");
        let id = self.child.insert(child).id();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                break;
            }
            if self.answers_as(id).await.unwrap_or(false) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.kill();
        false
    }

    /// Whether it is this process that answers, and not a stranger on the same port.
    async fn answers_as(&self, id: u32) -> redis::RedisResult<bool> {
        let mut connection = self.connect().await?;
        let info = redis::cmd("INFO").arg("server").to_owned();
        let info: String = info.query_async(&mut connection).await?;
        let line = format!("process_id:{id}");
        Ok(info.lines().any(|told| told == line))
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Below the range from which the system hands out ports of its own, so that a restart finds it free.
fn free_port() -> u16 {
    loop {
        let port = rand::rng().random_range(20_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
