//! A mail server for tests, on a port of its own: it keeps what it is given, and misbehaves where it is told to.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::process::PATIENCE;

/// What the server does when it comes to a phase: `connect`, `EHLO`, `STARTTLS`, `AUTH`, `MAIL`, `RCPT`, `DATA`, `body`
/// (the message is being written), `dot` (all of it was read), `NOOP`, `QUIT`. Everything else goes well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// Answers with this line instead of the usual one.
    Answers(&'static str, &'static str),
    /// Hangs up without an answer.
    Drops(&'static str),
    /// Keeps the line open and answers after this long.
    Waits(&'static str, Duration),
    /// Keeps the line open and answers once it is told something else.
    Hangs(&'static str),
    /// The same, only where a command is the first of its kind that it was ever told.
    HangsFirst(&'static str),
}

impl Does {
    fn phase(self) -> &'static str {
        match self {
            Self::Answers(phase, _)
            | Self::Drops(phase)
            | Self::Waits(phase, _)
            | Self::Hangs(phase)
            | Self::HangsFirst(phase) => phase,
        }
    }
}

/// What the server has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Connections so far.
    pub(crate) connections: usize,
    /// Every command, on every connection, in order.
    pub(crate) commands: Vec<String>,
    /// Every message that was read up to its dot, whatever was answered then.
    pub(crate) messages: Vec<String>,
}

impl Seen {
    /// The Message-IDs of what was read up to its dot, in order.
    pub(crate) fn message_ids(&self) -> Vec<String> {
        self.messages
            .iter()
            .map(|text| header(text, "Message-ID"))
            .collect()
    }

    /// How many commands of this name it was told.
    fn commands_of(&self, name: &str) -> usize {
        let so = |command: &&String| command.starts_with(name);
        self.commands.iter().filter(so).count()
    }
}

/// A header's value; empty when it is not there.
pub(crate) fn header(message: &str, name: &str) -> String {
    let value = message.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    });
    value.unwrap_or_default().to_owned()
}

/// A mail server; gone with this value.
pub(crate) struct SmtpServer {
    /// What it has seen so far.
    pub(crate) seen: Arc<Mutex<Seen>>,
    does: watch::Sender<Option<Does>>,
    address: std::net::SocketAddr,
    _stop: DropGuard,
}

impl SmtpServer {
    /// A server that takes everything.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, does) = (Arc::<Mutex<Seen>>::default(), watch::Sender::default());
        let stop = CancellationToken::new();
        let (accepting, inner, told) = (stop.clone(), seen.clone(), does.subscribe());
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                inner.lock().unwrap().connections += 1;
                let talk = serve(stream, told.clone(), inner.clone());
                TaskTracker::new().spawn(accepting.clone().run_until_cancelled_owned(talk));
            }
        }));
        Self {
            seen,
            does,
            address,
            _stop: stop.drop_guard(),
        }
    }

    /// From now on it does this, also on connections that are open.
    pub(crate) fn now(&self, does: impl Into<Option<Does>>) {
        self.does.send_replace(does.into());
    }

    /// What goes into `SMTP_URL`.
    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The same with a login and parameters.
    pub(crate) fn url_with(&self, scheme: &str, login: &str, query: &str) -> String {
        format!("{scheme}://{login}{}{query}", self.address)
    }

    /// The Message-IDs of what was read up to its dot, in order.
    pub(crate) fn message_ids(&self) -> Vec<String> {
        self.seen.lock().unwrap().message_ids()
    }

    /// How many messages were read up to their dot.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().messages.len()
    }

    /// Every command so far, in order.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.seen.lock().unwrap().commands.clone()
    }

    /// Waits until what it has seen is as it should be.
    pub(crate) async fn once(&self, what: &str, so: impl Fn(&Seen) -> bool) {
        let start = Instant::now();
        while !so(&self.seen.lock().unwrap()) {
            assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn phase_of(line: &str) -> &'static str {
    const PHASES: [&str; 11] = [
        "connect", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "dot", "QUIT", "NOOP",
        "RSET",
    ];
    let word = line.split_whitespace().next().unwrap_or_default();
    PHASES
        .into_iter()
        .find(|phase| *phase == word)
        .unwrap_or("?")
}

async fn hang(does: &mut watch::Receiver<Option<Does>>) {
    let now = *does.borrow();
    // An error means that the server is gone, and then this task is, too.
    drop(does.wait_for(|then| *then != now).await);
}

async fn serve(stream: TcpStream, mut does: watch::Receiver<Option<Does>>, seen: Arc<Mutex<Seen>>) {
    let mut stream = BufReader::new(stream);
    let mut line = "connect".to_owned();
    loop {
        let phase = phase_of(&line);
        let mut answer = match phase {
            "connect" => "220 stub\r\n",
            "EHLO" => "250-stub\r\n250-8BITMIME\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n",
            "STARTTLS" => "454 not today\r\n",
            "AUTH" => "235 welcome\r\n",
            "DATA" => "354 go on\r\n",
            "QUIT" => "221 bye\r\n",
            "?" => "500 what\r\n",
            _ => "250 fine for ada@customer.example\r\n",
        };
        let told = *does.borrow();
        match told.filter(|does| does.phase() == phase) {
            Some(Does::Answers(_, other)) => answer = other,
            Some(Does::Drops(_)) => return,
            Some(Does::Waits(_, long)) => tokio::time::sleep(long).await,
            Some(Does::Hangs(_)) => hang(&mut does).await,
            Some(Does::HangsFirst(_)) if seen.lock().unwrap().commands_of(phase) == 1 => {
                hang(&mut does).await;
            }
            Some(Does::HangsFirst(_)) | None => {}
        }
        let answer = format!("{}\r\n", answer.trim_end());
        if stream.write_all(answer.as_bytes()).await.is_err() || phase == "QUIT" {
            return;
        }
        line.clear();
        if phase == "DATA" && answer.starts_with("354") {
            let told = *does.borrow();
            match told.filter(|does| does.phase() == "body") {
                Some(Does::Drops(_)) => return,
                Some(Does::Waits(_, long)) => tokio::time::sleep(long).await,
                Some(Does::Hangs(_)) => hang(&mut does).await,
                _ => {}
            }
            let mut message = String::new();
            while !message.ends_with("\r\n.\r\n") {
                if stream.read_line(&mut message).await.unwrap_or(0) == 0 {
                    // No dot came: by the rules the message does not exist.
                    return;
                }
            }
            seen.lock().unwrap().messages.push(message);
            line.push_str("dot");
            continue;
        }
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        seen.lock()
            .unwrap()
            .commands
            .push(line.trim_end().to_owned());
    }
}
