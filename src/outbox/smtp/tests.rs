//! A mail server of our own that misbehaves on demand.

use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::outbox::send::tests::mail;

/// What the server does when it comes to a phase; everything else goes well.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Answers(&'static str, &'static str),
    Drops(&'static str),
    Hangs(&'static str),
}

#[derive(Default)]
struct Seen {
    commands: Vec<String>,
    messages: Vec<String>,
}

struct Stub {
    mailer: SmtpMailer,
    seen: Arc<Mutex<Seen>>,
}

const QUICK: Timeouts = Timeouts {
    session: Duration::from_millis(500),
    command: Duration::from_millis(500),
    body: Duration::from_millis(200),
    answer: Duration::from_millis(200),
};

async fn stub(does: Option<Does>) -> Stub {
    stub_with(
        does,
        "",
        "250-stub\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n",
    )
    .await
}

async fn stub_with(does: Option<Does>, login: &str, ehlo: &'static str) -> Stub {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{login}{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let inner = Arc::clone(&seen);
    TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            TaskTracker::new().spawn(serve(stream, does, ehlo, Arc::clone(&inner)));
        }
    });
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_700_000_000)));
    Stub {
        mailer: SmtpMailer::from_url(&url.into(), clock)
            .unwrap()
            .with_timeouts(QUICK),
        seen,
    }
}

async fn serve(stream: TcpStream, does: Option<Does>, ehlo: &'static str, seen: Arc<Mutex<Seen>>) {
    let mut stream = BufReader::new(stream);
    let mut line = "connect".to_owned();
    loop {
        let phase = match line.split_whitespace().next().unwrap_or_default() {
            "connect" => "connect",
            "EHLO" => "EHLO",
            "AUTH" => "AUTH",
            "MAIL" => "MAIL",
            "RCPT" => "RCPT",
            "DATA" => "DATA",
            "dot" => "dot",
            "QUIT" => "QUIT",
            _ => "?",
        };
        let mut answer = match phase {
            "connect" => "220 stub\r\n",
            "EHLO" => ehlo,
            "AUTH" => "235 welcome\r\n",
            "DATA" => "354 go on\r\n",
            "QUIT" => "221 bye\r\n",
            "?" => "500 what\r\n",
            _ => "250 fine for ada@customer.example\r\n",
        };
        match does {
            Some(Does::Answers(at, other)) if at == phase => answer = other,
            Some(Does::Drops(at)) if at == phase => return,
            Some(Does::Hangs(at)) if at == phase => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                return;
            }
            _ => {}
        }
        if stream.write_all(answer.as_bytes()).await.is_err() || phase == "QUIT" {
            return;
        }
        line.clear();
        if phase == "DATA" && answer.starts_with("354") {
            match does {
                Some(Does::Drops("body")) => return,
                Some(Does::Hangs("body")) => tokio::time::sleep(Duration::from_secs(30)).await,
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

async fn outcome(does: Does) -> SendError {
    let stub = stub(Some(does)).await;
    let error = stub.mailer.send(&mail()).await.unwrap_err();
    for secret in ["ada", "customer.example", "acme", "About"] {
        assert!(!error.to_string().contains(secret), "{does:?}: {error}");
    }
    error
}

#[tokio::test]
async fn a_mail_goes_out_once_and_whole() {
    let stub = stub(None).await;
    let sent = stub.mailer.send(&mail()).await.unwrap();
    assert_eq!(sent.receipt, "smtp 250");
    let seen = stub.seen.lock().unwrap();
    assert_eq!(seen.messages.len(), 1);
    let message = &seen.messages[0];
    for part in [
        "Message-ID: <abc123@acme.example>\r\n",
        "X-Billhook-Effect: effect-1\r\n",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "\r\n..a line that starts with a dot\r\n",
    ] {
        assert!(message.contains(part), "{part} is not in\n{message}");
    }
    assert!(message.is_ascii());
    assert_eq!(
        seen.commands[1..4],
        [
            "MAIL FROM:<billing@acme.example>",
            "RCPT TO:<ada@customer.example>",
            "DATA"
        ]
    );
    assert_eq!(seen.commands[4], "QUIT");
}

#[tokio::test]
async fn a_repeat_is_identical() {
    let stub = stub(None).await;
    stub.mailer.send(&mail()).await.unwrap();
    stub.mailer.send(&mail()).await.unwrap();
    let seen = stub.seen.lock().unwrap();
    assert_eq!(seen.messages[0], seen.messages[1]);
}

#[tokio::test]
async fn a_refusal_for_good_is_rejected() {
    for phase in ["MAIL", "RCPT", "DATA", "dot"] {
        let error = outcome(Does::Answers(
            phase,
            "550 5.1.1 <ada@customer.example> unknown\r\n",
        ))
        .await;
        assert!(
            matches!(error, SendError::Rejected { .. }),
            "{phase}: {error:?}"
        );
        assert!(error.to_string().contains("550"), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_for_now_is_transient() {
    for phase in ["connect", "EHLO", "MAIL", "RCPT", "DATA", "dot"] {
        let error = outcome(Does::Answers(
            phase,
            "451 try <ada@customer.example> later\r\n",
        ))
        .await;
        assert!(
            matches!(error, SendError::Transient { .. }),
            "{phase}: {error:?}"
        );
    }
}

#[tokio::test]
async fn what_concerns_the_session_is_never_held_against_the_mail() {
    for (phase, answer) in [
        ("connect", "554 no service\r\n"),
        ("EHLO", "550 who are you\r\n"),
        ("MAIL", "530 5.7.0 authentication required\r\n"),
    ] {
        let error = outcome(Does::Answers(phase, answer)).await;
        assert!(
            matches!(error, SendError::Transient { .. }),
            "{phase}: {error:?}"
        );
    }
    let does = Does::Answers("AUTH", "535 wrong password for s3cret\r\n");
    let stub = stub_with(Some(does), "user:s3cret@", "250-stub\r\n250 AUTH PLAIN\r\n").await;
    let error = stub.mailer.send(&mail()).await.unwrap_err();
    assert_eq!(
        error,
        SendError::transient("the login at the mail server failed with 535")
    );
    assert_eq!(stub.mailer.probe().await.unwrap_err(), error);
}

#[tokio::test]
async fn a_line_that_breaks_before_the_dot_is_transient() {
    for does in [
        Does::Drops("connect"),
        Does::Drops("EHLO"),
        Does::Drops("MAIL"),
        Does::Drops("RCPT"),
        Does::Drops("DATA"),
        Does::Hangs("connect"),
        Does::Hangs("RCPT"),
        Does::Hangs("DATA"),
        Does::Answers("DATA", "250 whatever\r\n"),
    ] {
        let error = outcome(does).await;
        assert!(
            matches!(error, SendError::Transient { .. }),
            "{does:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn no_answer_to_the_dot_is_unknown() {
    for does in [
        Does::Drops("dot"),
        Does::Hangs("dot"),
        Does::Answers("dot", "354 what\r\n"),
        Does::Answers("dot", "gibberish\r\n"),
    ] {
        let error = outcome(does).await;
        assert!(
            matches!(error, SendError::Unknown { .. }),
            "{does:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_stops_within_the_message_has_not_got_it() {
    // Far more is written than the sockets hold, so the dot is never reached.
    let large = OutgoingMail {
        text: format!("{}\n", "x".repeat(900)).repeat(10_000),
        html: None,
        ..mail()
    };
    for does in [Does::Drops("body"), Does::Hangs("body")] {
        let stub = stub(Some(does)).await;
        let error = stub.mailer.send(&large).await.unwrap_err();
        assert!(
            matches!(error, SendError::Transient { .. }),
            "{does:?}: {error:?}"
        );
        assert!(stub.seen.lock().unwrap().messages.is_empty());
    }
}

#[tokio::test]
async fn a_lost_lease_stops_before_the_message() {
    let stub = stub(None).await;
    let error = stub
        .mailer
        .send_while(&mail(), &|| false)
        .await
        .unwrap_err();
    assert!(matches!(error, SendError::Transient { .. }));
    let seen = stub.seen.lock().unwrap();
    assert_eq!(seen.commands.last().unwrap(), "DATA");
    assert!(seen.messages.is_empty());
}

#[tokio::test]
async fn a_password_never_crosses_a_line_that_must_be_encrypted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "smtp://user:s3cret@{}?tls=required",
        listener.local_addr().unwrap()
    );
    let seen = Arc::new(Mutex::new(Seen::default()));
    let inner = Arc::clone(&seen);
    TaskTracker::new().spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, None, "250-stub\r\n250 AUTH PLAIN\r\n", inner).await;
    });
    let clock = Arc::new(ManualClock::new(Timestamp::default()));
    let mailer = SmtpMailer::from_url(&url.into(), clock)
        .unwrap()
        .with_timeouts(QUICK);
    let error = mailer.send(&mail()).await.unwrap_err();
    assert!(matches!(error, SendError::Transient { .. }), "{error:?}");
    assert!(
        !seen
            .lock()
            .unwrap()
            .commands
            .iter()
            .any(|command| command.starts_with("AUTH"))
    );
}

#[tokio::test]
async fn an_address_that_the_server_cannot_take_is_rejected() {
    let stub = stub(None).await;
    let mail = OutgoingMail {
        to: "ädä@customer.example".into(),
        ..mail()
    };
    let error = stub.mailer.send(&mail).await.unwrap_err();
    assert!(matches!(error, SendError::Rejected { .. }), "{error:?}");
    assert!(stub.seen.lock().unwrap().messages.is_empty());
}
