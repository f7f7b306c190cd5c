//! Mails by SMTP, driven command by command so that the phase in which something broke is known.
//!
//! The dot that ends the message is the point of no return: before it has been written the server has nothing, after it
//! only an answer can tell. This module must never guess: a broken line after the dot is `Unknown`, not `Transient`.

mod url;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use secrecy::SecretString;
use tokio::time::timeout;

pub use self::url::SmtpUrlError;
use self::url::{Server, Tls};
use super::message;
use super::send::{COMMIT_MARGIN, Mailer, MayFinish, OutgoingMail, SendError, Sent};
use crate::clock::Clock;

/// How long each phase may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until the server has greeted, TLS is up and we are logged in.
    pub session: Duration,
    /// For the answer to one command.
    pub command: Duration,
    /// For writing the message, up to the dot; at most [`COMMIT_MARGIN`].
    pub body: Duration,
    /// For the answer to the dot. RFC 5321 asks for ten minutes: servers scan first, and giving up early is what makes
    /// a mail `unknown`.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            session: Duration::from_secs(30),
            command: Duration::from_mins(1),
            body: COMMIT_MARGIN,
            answer: Duration::from_mins(10),
        }
    }
}

/// Sends each mail over a connection of its own.
pub struct SmtpMailer {
    server: Server,
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
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
            clock,
            timeouts: Timeouts::default(),
        })
    }

    /// The same mailer with other time limits.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = Timeouts {
            body: timeouts.body.min(COMMIT_MARGIN),
            ..timeouts
        };
        self
    }

    /// Connects and logs in, and sends nothing: whether the configuration works.
    pub async fn probe(&self) -> Result<(), SendError> {
        self.session()
            .await
            .map(|connection| self.leave(connection))
            .map(drop)
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

    /// Everything up to the server's word that it is ready for the message.
    async fn announce(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
        bytes: &[u8],
    ) -> Result<(), SendError> {
        let mut parameters = Vec::new();
        let mut addresses = envelope.from().into_iter().chain(envelope.to());
        if addresses.any(|address| !address.user().is_ascii() || !address.domain().is_ascii()) {
            if !connection
                .server_info()
                .supports_feature(Extension::SmtpUtfEight)
            {
                return Err(SendError::rejected(
                    "the address needs SMTPUTF8, which the mail server lacks",
                ));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !bytes.is_ascii() {
            if !connection
                .server_info()
                .supports_feature(Extension::EightBitMime)
            {
                return Err(SendError::rejected(
                    "the message needs 8BITMIME, which the mail server lacks",
                ));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        self.command(
            connection,
            "MAIL",
            Mail::new(envelope.from().cloned(), parameters),
        )
        .await?;
        for recipient in envelope.to() {
            self.command(connection, "RCPT", Rcpt::new(recipient.clone(), Vec::new()))
                .await?;
        }
        let ready = self.command(connection, "DATA", Data).await?;
        if !ready.has_code(354) {
            return Err(SendError::transient(
                "the mail server gave no answer that makes sense to DATA",
            ));
        }
        Ok(())
    }

    /// Writes the message and waits for the answer. The connection must be dropped afterwards unless this succeeds: a
    /// further command would be read as part of the message.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        bytes: &[u8],
    ) -> Result<Sent, SendError> {
        let dot = AtomicBool::new(false);
        let message = connection.message_iter(UntilDot {
            rest: Some(bytes),
            dot: &dot,
        });
        let mut message = std::pin::pin!(message);
        let answer = match timeout(self.timeouts.body, message.as_mut()).await {
            Ok(answer) => Some(answer),
            Err(_elapsed) if !dot.load(Ordering::SeqCst) => {
                return Err(SendError::transient(
                    "the mail server did not take the message in time",
                ));
            }
            Err(_elapsed) => timeout(self.timeouts.answer, message.as_mut()).await.ok(),
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

    /// Says goodbye without making anybody wait for it.
    async fn leave(&self, mut connection: AsyncSmtpConnection) {
        if !matches!(
            timeout(Duration::from_secs(2), connection.quit()).await,
            Ok(Ok(_))
        ) {
            tracing::debug!("the mail server did not say goodbye");
        }
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send_while(
        &self,
        mail: &OutgoingMail,
        may_finish: MayFinish<'_>,
    ) -> Result<Sent, SendError> {
        let (envelope, bytes) = message::build(mail, self.clock.now())?;
        let mut connection = self.session().await?;
        if let Err(error) = self.announce(&mut connection, &envelope, &bytes).await {
            self.leave(connection).await;
            return Err(error);
        }
        if !may_finish() {
            return Err(SendError::transient(
                "the lease was lost before the message was handed over",
            ));
        }
        let sent = self.hand_over(&mut connection, &bytes).await?;
        self.leave(connection).await;
        Ok(sent)
    }

    fn repeats_safely(&self) -> bool {
        false
    }
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
        None if error.is_tls() => {
            format!("{phase} at the mail server failed: check its certificate")
        }
        None => format!("{phase} at the mail server failed"),
    })
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

#[cfg(test)]
mod tests;
