//! This machine: disk, folders, open files, and the address to listen on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};
use serde_json::Value;
use tokio::net::TcpListener;

use super::database::sqlite_file;
use super::finding::Finding;
use crate::config::Config;

/// Free space under which little can be kept, and under which soon nothing can.
const LITTLE: u64 = 1 << 30;
const NOTHING: u64 = 100 << 20;
/// Files that a service opens besides connections: the database's, the outbox's, its log.
const OTHER_FILES: u64 = 128;

/// Where mails go when there is no mail server.
pub(super) fn mail_folder(folder: &Path) -> Finding {
    const CHECK: &str = "mail";
    let shown = folder.display();
    let next = "set SMTP_URL, or email.folder to a folder that takes files";
    if folder.exists() {
        if is_writable(folder) {
            Finding::ok(CHECK, format!("no SMTP_URL: mails become files in {shown}"))
        } else {
            Finding::failed(CHECK, format!("the folder {shown} takes no files"), next)
        }
    } else if is_writable(&folder_of(folder)) {
        Finding::ok(
            CHECK,
            format!("no SMTP_URL: mails become files in {shown}, which the first one makes"),
        )
    } else {
        Finding::failed(CHECK, format!("the folder {shown} cannot be made"), next)
    }
}

/// Free space where billhook itself writes.
pub(super) fn disk(config: &Config) -> Finding {
    const CHECK: &str = "disk";
    let mut folders: Vec<PathBuf> = sqlite_file(config)
        .map(|file| folder_of(&file))
        .into_iter()
        .collect();
    if config.email.smtp_url.is_none() {
        folders.push(folder_of(&config.email.folder));
    }
    let free = folders
        .iter()
        .filter_map(|folder| rustix::fs::statvfs(folder).ok())
        .map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
        .min();
    let Some(free) = free else {
        return Finding::off(CHECK, "nothing is written to this machine's disks");
    };
    let found = format!("{} MiB free", free >> 20);
    let next = "make room: billhook answers 503 when the disk is full";
    match free {
        free if free < NOTHING => Finding::failed(CHECK, found, next),
        free if free < LITTLE => Finding::warning(CHECK, found, next),
        _ => Finding::ok(CHECK, found),
    }
}

/// Whether the system lets `serve` have as many connections as it is configured for.
pub(super) fn open_files(max_connections: usize) -> Finding {
    const CHECK: &str = "open files";
    let needed = u64::try_from(max_connections)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHER_FILES);
    // No limit is `None`.
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Finding::warning(
            CHECK,
            format!("{limit} may be open, and server.max_connections needs {needed}"),
            "raise the limit (`ulimit -n`, LimitNOFILE of systemd), or lower server.max_connections",
        ),
        _ => Finding::ok(CHECK, format!("enough for {max_connections} connections")),
    }
}

/// Whether the address is free, or billhook itself has it.
pub(super) async fn listen(address: SocketAddr, client: &reqwest::Client) -> Finding {
    const CHECK: &str = "listen address";
    match TcpListener::bind(address).await {
        Ok(_) if address.port() == 0 => Finding::ok(CHECK, "any free port"),
        Ok(_) => Finding::ok(CHECK, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let url = format!("http://{}/readyz", reachable(address));
            match is_billhook(client, &url).await {
                Some(true) => {
                    Finding::ok(CHECK, format!("billhook answers at {address} and is ready"))
                }
                Some(false) => Finding::warning(
                    CHECK,
                    format!("billhook answers at {address} and is not ready"),
                    &format!("`curl {url}` names what fails, and its log says why"),
                ),
                None => Finding::failed(
                    CHECK,
                    format!("somebody else listens on {address}"),
                    "stop whoever listens there, or set BILLHOOK_LISTEN",
                ),
            }
        }
        Err(error) => Finding::failed(
            CHECK,
            format!("cannot listen on {address}: {error}"),
            "set BILLHOOK_LISTEN to an address of this machine",
        ),
    }
}

/// Whether billhook is at `url`, and ready.
async fn is_billhook(client: &reqwest::Client, url: &str) -> Option<bool> {
    let answer = client.get(url).send().await.ok()?;
    let ready = answer.status().is_success();
    let answer: Value = answer.json().await.ok()?;
    answer.get("checks")?.get("migrations").map(|_| ready)
}

/// Where to ask a listener that listens on every address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The folder that a path is in, or is to be in: the nearest one that exists.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    let mut folder = path;
    while let Some(parent) = folder.parent() {
        folder = parent;
        if folder.as_os_str().is_empty() {
            break;
        }
        if folder.is_dir() {
            return folder.to_owned();
        }
    }
    PathBuf::from(".")
}

/// Whether a folder takes files; asked by making one without a name.
pub(super) fn is_writable(folder: &Path) -> bool {
    tempfile::tempfile_in(folder).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Outcome;

    #[test]
    fn the_folder_of_a_path_is_the_nearest_that_exists() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        assert_eq!(folder_of(&home.join("a/b/c.db")), home);
        assert_eq!(folder_of(&home.join("c.db")), home);
        assert_eq!(folder_of(Path::new("c.db")), Path::new("."));
    }

    #[test]
    fn a_mail_folder_is_there_or_can_be_made() {
        let home = tempfile::tempdir().unwrap();
        let outcome = |path: &Path| mail_folder(path).outcome;
        assert_eq!(outcome(home.path()), Outcome::Ok);
        assert_eq!(outcome(&home.path().join("mail")), Outcome::Ok);
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(outcome(&file), Outcome::Failed);
    }

    #[test]
    fn more_connections_than_files_are_noticed() {
        assert_eq!(open_files(usize::MAX).outcome, Outcome::Warning);
        assert_eq!(open_files(1).outcome, Outcome::Ok);
    }

    #[test]
    fn whoever_listens_everywhere_is_asked_here() {
        let shown = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(shown("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(shown("[::]:80"), "[::1]:80");
        assert_eq!(shown("10.0.0.7:80"), "10.0.0.7:80");
    }
}
