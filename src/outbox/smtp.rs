//! Mails by SMTP, driven command by command so that the phase in which something broke is known.
//!
//! The dot that ends the message is the point of no return: before it has been written the server has nothing, after it
//! only an answer can tell. This module must never guess: a broken line after the dot is `Unknown`, not `Transient`.

mod idle;
mod url;

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use secrecy::SecretString;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use self::idle::{Idle, Line};
pub use self::url::SmtpUrlError;
use self::url::{Server, Tls};
use super::send::{Mailer, OutgoingMail, SendError, Sent};
use super::{Permit, message, permit};
use crate::clock::Clock;

/// How long a connection that was kept may take to prove that it lives; a new one costs little more.
const PROOF: Duration = Duration::from_secs(5);

/// How long each phase may take, and how long a connection is kept after the last.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until the server has greeted, TLS is up and we are logged in.
    pub session: Duration,
    /// For the answer to one command.
    pub command: Duration,
    /// For writing the message, up to the dot.
    pub body: Duration,
    /// For the answer to the dot. RFC 5321 asks for ten minutes: servers scan first, and giving up early is what makes
    /// a mail `unknown`.
    pub answer: Duration,
    /// How long a connection is kept for the next mail: less than any server's patience with a client that says nothing.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            session: Duration::from_secs(30),
            command: Duration::from_mins(1),
            body: Duration::from_secs(30),
            answer: Duration::from_mins(10),
            idle: Duration::from_secs(20),
        }
    }
}

/// Sends mails, over a connection that is still open from the last one where there is one.
pub struct SmtpMailer {
    server: Server,
    idle: Idle,
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
    goodbyes: TaskTracker,
}

impl SmtpMailer {
    /// A mailer for `SMTP_URL`: `smtp://` or `smtps://`, with `USER:PASSWORD@` and `?tls=required|opportunistic|none`
    /// as needed; the path, when there is one, is the name we greet with.
    ///
    /// Without `tls`, a password makes STARTTLS required and the loopback makes it unnecessary; else it is used when
    /// offered.
    pub fn from_url(url: &SecretString, clock: Arc<dyn Clock>) -> Result<Self, SmtpUrlError> {
        Ok(Self {
            server: Server::parse(url)?,
            idle: Idle::default(),
            clock,
            timeouts: Timeouts::default(),
            goodbyes: TaskTracker::new(),
        })
    }

    /// The same mailer with other time limits.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Connects and logs in, and sends nothing: whether the configuration works.
    pub async fn probe(&self) -> Result<(), SendError> {
        let connection = self.session().await?;
        leave(connection).await;
        Ok(())
    }

    /// A connection that is ready for a mail. Whatever fails here is about the server or our account with it, never
    /// about one mail, so it is `Transient` even when the server says that it is for good.
    async fn session(&self) -> Result<AsyncSmtpConnection, SendError> {
        timeout(self.timeouts.session, self.connect())
            .await
            .map_err(|_elapsed| SendError::transient("the mail server did not answer in time"))?
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let server = &self.server;
        let wrapper = match &server.tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            Tls::Required(_) | Tls::Opportunistic(_) | Tls::None => None,
        };
        let address = (server.host.as_str(), server.port);
        let limit = Some(self.timeouts.session);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, limit, &server.hello, wrapper, None)
                .await
                .map_err(|error| in_session("connecting", &error))?;
        let starttls = match &server.tls {
            Tls::Required(parameters) => Some(parameters),
            Tls::Opportunistic(parameters) => connection.can_starttls().then_some(parameters),
            Tls::Wrapper(_) | Tls::None => None,
        };
        if let Some(parameters) = starttls {
            connection
                .starttls(parameters.clone(), &server.hello)
                .await
                .map_err(|error| in_session("STARTTLS", &error))?;
        }
        if let Some(credentials) = &server.credentials {
            connection
                .auth(DEFAULT_MECHANISMS, credentials)
                .await
                .map_err(|error| in_session("the login", &error))?;
        }
        Ok(connection)
    }

    async fn command<C: std::fmt::Display>(
        &self,
        connection: &mut AsyncSmtpConnection,
        phase: &'static str,
        command: C,
    ) -> Result<Response, SendError> {
        timeout(self.timeouts.command, connection.command(command))
            .await
            .map_err(|_elapsed| {
                SendError::transient(format!("the mail server did not answer {phase} in time"))
            })?
            .map_err(|error| before_the_dot(phase, &error))
    }

    /// A connection on which the server expects the message.
    async fn announce(&self, envelope: &Envelope, bytes: &[u8]) -> Result<Line, SendError> {
        let (mut line, begun) = if let Some(line) = self.reuse(envelope, bytes).await {
            (line, Ok(()))
        } else {
            let mut line = Line::new(self.session().await?);
            let begun = self.begin(&mut line, envelope, bytes).await;
            (line, begun)
        };
        let announced = match begun {
            Ok(()) => self.address(&mut line, envelope).await,
            Err(error) => Err(error),
        };
        match announced {
            Ok(()) => Ok(line),
            Err(error) => {
                leave(line.connection).await;
                Err(error)
            }
        }
    }

    /// A connection that was kept, lives, and has taken MAIL. Whatever goes wrong up to there may be about the
    /// connection, so it is held against nobody: the others that were kept go, too, and a new one decides.
    async fn reuse(&self, envelope: &Envelope, bytes: &[u8]) -> Option<Line> {
        let mut line = self.idle.take(self.timeouts.idle)?;
        let proof = timeout(PROOF, line.connection.command(Noop)).await;
        if matches!(proof, Ok(Ok(_))) && self.begin(&mut line, envelope, bytes).await.is_ok() {
            return Some(line);
        }
        drop(self.idle.clear(Duration::ZERO));
        None
    }

    async fn begin(
        &self,
        line: &mut Line,
        envelope: &Envelope,
        bytes: &[u8],
    ) -> Result<(), SendError> {
        let parameters = parameters(&line.connection, envelope, bytes)?;
        let sender = Mail::new(envelope.from().cloned(), parameters);
        self.command(&mut line.connection, "MAIL", sender)
            .await
            .map(drop)
    }

    async fn address(&self, line: &mut Line, envelope: &Envelope) -> Result<(), SendError> {
        for recipient in envelope.to() {
            let recipient = Rcpt::new(recipient.clone(), Vec::new());
            self.command(&mut line.connection, "RCPT", recipient)
                .await?;
        }
        let ready = self.command(&mut line.connection, "DATA", Data).await?;
        if !ready.has_code(354) {
            return Err(SendError::transient(
                "the mail server gave no answer that makes sense to DATA",
            ));
        }
        Ok(())
    }

    /// Writes the message while `permit` allows it, and then waits for the answer, come what may. The connection must be
    /// dropped afterwards unless this succeeds: a further command would be read as part of the message.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        bytes: &[u8],
        permit: &Permit,
    ) -> Result<Sent, SendError> {
        let most = self.timeouts.body.min(permit.left());
        if most.is_zero() {
            return Err(SendError::Withdrawn);
        }
        let end = Instant::now() + most;
        let dot = AtomicBool::new(false);
        let message = connection.message_iter(UntilDot {
            rest: Some(bytes),
            dot: &dot,
        });
        let mut message = std::pin::pin!(message);
        // The message last: a process that slept past its lease must not wake with the dot.
        let (answer, stopped) = tokio::select! {
            biased;
            () = permit.withdrawn() => (None, SendError::Withdrawn),
            () = permit::reached(end) => (None, SendError::transient("the mail server did not take the message in time")),
            answer = message.as_mut() => (Some(answer), SendError::Withdrawn),
        };
        let answer = match answer {
            None if !dot.load(Ordering::SeqCst) => return Err(stopped),
            None => timeout(self.timeouts.answer, message.as_mut()).await.ok(),
            answer => answer,
        };
        let Some(answer) = answer else {
            return Err(SendError::unknown(
                "the mail server did not answer the message in time",
            ));
        };
        match answer {
            Ok(response) if response.code().severity == Severity::PositiveCompletion => Ok(Sent {
                receipt: format!("smtp {}", response.code()),
            }),
            Ok(_) => Err(SendError::unknown(
                "the mail server gave no answer that makes sense to the message",
            )),
            Err(error) => match (error.status(), dot.load(Ordering::SeqCst)) {
                (Some(_), _) => Err(before_the_dot("the message", &error)),
                (None, false) => Err(SendError::transient(
                    "the connection broke within the message",
                )),
                (None, true) => Err(SendError::unknown("the connection broke after the message")),
            },
        }
    }
}

/// Says goodbye, and does not wait for long.
async fn leave(mut connection: AsyncSmtpConnection) {
    if !matches!(
        timeout(Duration::from_secs(2), connection.quit()).await,
        Ok(Ok(_))
    ) {
        tracing::debug!("the mail server did not say goodbye");
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &OutgoingMail, permit: &Permit) -> Result<Sent, SendError> {
        let (envelope, bytes) = message::build(mail, self.clock.now())?;
        let mut line = tokio::select! {
            biased;
            () = permit.withdrawn() => return Err(SendError::Withdrawn),
            line = self.announce(&envelope, &bytes) => line?,
        };
        let sent = self.hand_over(&mut line.connection, &bytes, permit).await?;
        if let Some(worn) = self.idle.keep(line) {
            // Not here: until the outcome is committed, a kill makes `unknown` of what is known to be sent.
            self.goodbyes.spawn(leave(worn.connection));
        }
        Ok(sent)
    }

    async fn rest(&self, for_good: bool) {
        let rest = if for_good {
            Duration::ZERO
        } else {
            self.timeouts.idle
        };
        let gone = self.idle.clear(rest).into_iter();
        join_all(gone.map(|line| leave(line.connection))).await;
        if for_good {
            self.goodbyes.close();
            self.goodbyes.wait().await;
        }
    }
}

/// What the server must know of the mail beforehand, or that it cannot take it.
fn parameters(
    connection: &AsyncSmtpConnection,
    envelope: &Envelope,
    bytes: &[u8],
) -> Result<Vec<MailParameter>, SendError> {
    let server = connection.server_info();
    let mut parameters = Vec::new();
    let mut addresses = envelope.from().into_iter().chain(envelope.to());
    if addresses.any(|address| !address.user().is_ascii() || !address.domain().is_ascii()) {
        if !server.supports_feature(Extension::SmtpUtfEight) {
            return Err(SendError::rejected(
                "the address needs SMTPUTF8, which the mail server lacks",
            ));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !bytes.is_ascii() {
        if !server.supports_feature(Extension::EightBitMime) {
            return Err(SendError::rejected(
                "the message needs 8BITMIME, which the mail server lacks",
            ));
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

/// Yields the message and notes when it is asked for more: all of it has been written then, and the dot comes next.
struct UntilDot<'a> {
    rest: Option<&'a [u8]>,
    dot: &'a AtomicBool,
}

impl<'a> Iterator for UntilDot<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.rest.take();
        if part.is_none() {
            self.dot.store(true, Ordering::SeqCst);
        }
        part
    }
}

/// A failure while the session is set up, in our words: a server's may hold our account's name.
fn in_session(phase: &str, error: &lettre::transport::smtp::Error) -> SendError {
    SendError::transient(match error.status() {
        Some(code) => format!("{phase} at the mail server failed with {code}"),
        None if error.is_timeout() => format!("{phase} at the mail server took too long"),
        None if is_about_the_certificate(error) => {
            format!("{phase} at the mail server failed: its certificate is not trusted")
        }
        None => format!("{phase} at the mail server failed"),
    })
}

/// lettre takes every failure of a handshake for one of the connection; what it was stands at the end of the chain.
fn is_about_the_certificate(error: &lettre::transport::smtp::Error) -> bool {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>()?.get_ref())
        .filter_map(|inner| inner.downcast_ref::<rustls::Error>())
        .any(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
}

/// A negative answer, or a broken line while the server had nothing yet.
fn before_the_dot(phase: &str, error: &lettre::transport::smtp::Error) -> SendError {
    let Some(code) = error.status() else {
        return SendError::transient(format!("the connection broke at {phase}"));
    };
    let reason = format!("the mail server answered {code} to {phase}");
    // These speak of our login and of the line, and say nothing about the mail.
    let about_us = matches!(code.to_string().as_str(), "530" | "534" | "535" | "538");
    if error.is_permanent() && !about_us {
        SendError::rejected(reason)
    } else {
        SendError::transient(reason)
    }
}
