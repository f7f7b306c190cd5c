//! Mails as files, for a machine without a mail server: one `.eml` per Message-ID, complete or absent.
//!
//! A repeat replaces the file by the same mail under the same name, so there are never two, and never half of one.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::send::{Mailer, OutgoingMail, SendError, Sent};
use super::{Permit, message};
use crate::clock::Clock;

/// Writes mails into a folder, which is created when missing.
pub struct EmlFolder {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
}

impl EmlFolder {
    /// Mails go to `folder`; their date comes from `clock`.
    pub fn new(folder: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self {
            folder: folder.into(),
            clock,
        }
    }

    /// Where the mails are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[async_trait]
impl Mailer for EmlFolder {
    async fn send(&self, mail: &OutgoingMail, permit: &Permit) -> Result<Sent, SendError> {
        let (_envelope, bytes) = message::build(mail, self.clock.now())?;
        let name = message::local_part(&mail.message_id)
            .map(|local| format!("{local}.eml"))
            .ok_or_else(|| SendError::rejected("the Message-ID is malformed"))?;
        if permit.left().is_zero() {
            return Err(SendError::Withdrawn);
        }
        let folder = self.folder.clone();
        let file = name.clone();
        // Writing is blocking and ends with a wait for the disk, which has no place on the runtime's own threads.
        tokio::task::spawn_blocking(move || write(&folder, &file, &bytes))
            .await
            .map_err(|_error| SendError::transient("writing the mail was interrupted"))?
            // The path may be worth reading, but not here: the operating system's words are enough and name no customer.
            .map_err(|error| {
                SendError::transient(format!(
                    "the mail cannot be written to the folder: {}",
                    error.kind()
                ))
            })?;
        Ok(Sent {
            receipt: format!("file {name}"),
        })
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    // Two writers of one mail, in one process or in two, must not share a temporary file.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    std::fs::create_dir_all(folder)?;
    let unique = format!(
        ".{name}.{}.{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let temporary = folder.join(unique);
    let written = File::create_new(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&temporary, folder.join(name)));
    if let Err(error) = written {
        // The first error is the one that matters; the remains are invisible to readers of `*.eml`.
        if let Err(leftover) = std::fs::remove_file(&temporary) {
            tracing::debug!(error = %leftover.kind(), "a temporary mail file stayed behind");
        }
        return Err(error);
    }
    // Without this a crash of the machine could forget the name of a file whose content it kept.
    sync_folder(folder)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::outbox::send::tests::mail;

    fn folder(path: &Path) -> EmlFolder {
        EmlFolder::new(
            path.join("mail"),
            Arc::new(ManualClock::new(Timestamp::from_seconds(1_700_000_000))),
        )
    }

    fn names(mailer: &EmlFolder) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(mailer.folder())
            .map(|entries| {
                entries
                    .map(|e| e.unwrap().file_name().into_string().unwrap())
                    .collect()
            })
            .unwrap_or_default();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_mail_written_twice_is_one_identical_file() {
        let root = tempfile::tempdir().unwrap();
        let mailer = folder(root.path());
        let sent = mailer.send(&mail(), &Permit::unlimited()).await.unwrap();
        assert_eq!(sent.receipt, "file abc123.eml");
        let first = std::fs::read(mailer.folder().join("abc123.eml")).unwrap();
        mailer.send(&mail(), &Permit::unlimited()).await.unwrap();
        assert_eq!(names(&mailer), ["abc123.eml"]);
        assert_eq!(
            std::fs::read(mailer.folder().join("abc123.eml")).unwrap(),
            first
        );

        let text = String::from_utf8(first).unwrap();
        for line in [
            "Message-ID: <abc123@acme.example>\r\n",
            "X-Billhook-Effect: effect-1\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
            "Subject: About your payment\r\n",
            "To: Ada <ada@customer.example>\r\n",
            "Reply-To: help@acme.example\r\n",
            "Content-Type: multipart/alternative;",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn many_writers_of_one_mail_leave_one_file() {
        let root = tempfile::tempdir().unwrap();
        let mailer = folder(root.path());
        let sends = (0..16).map(|_| async { mailer.send(&mail(), &Permit::unlimited()).await });
        assert!(
            futures::future::join_all(sends)
                .await
                .iter()
                .all(Result::is_ok)
        );
        assert_eq!(names(&mailer), ["abc123.eml"]);
    }

    #[tokio::test]
    async fn a_lost_lease_and_a_malformed_mail_write_nothing() {
        let root = tempfile::tempdir().unwrap();
        let mailer = folder(root.path());
        let lost = Permit::unlimited();
        lost.withdraw();
        assert_eq!(
            mailer.send(&mail(), &lost).await.unwrap_err(),
            SendError::Withdrawn
        );
        for broken in [
            OutgoingMail {
                message_id: "<../../etc/x@d.e>".into(),
                ..mail()
            },
            OutgoingMail {
                to: "ada@customer.example, eve@evil.example".into(),
                ..mail()
            },
            OutgoingMail {
                to: "nobody".into(),
                ..mail()
            },
            OutgoingMail {
                subject: "x\r\nBcc: eve@evil.example".into(),
                ..mail()
            },
            OutgoingMail {
                effect: "x\r\nBcc: eve@evil.example".into(),
                ..mail()
            },
        ] {
            let error = mailer
                .send(&broken, &Permit::unlimited())
                .await
                .unwrap_err();
            assert!(matches!(error, SendError::Rejected { .. }), "{error}");
            assert!(!error.to_string().contains("evil"), "{error}");
        }
        assert_eq!(names(&mailer), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_is_transient() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("mail"), "a file, not a folder").unwrap();
        let error = folder(root.path())
            .send(&mail(), &Permit::unlimited())
            .await
            .unwrap_err();
        assert!(matches!(error, SendError::Transient { .. }), "{error}");
    }
}
