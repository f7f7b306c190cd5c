//! A PostgreSQL server of one test, for tests that stop it, freeze it and start it again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand::Rng;
use tempfile::TempDir;

use super::services::{SKIP_POSTGRES, variable};

/// Where the server's programs are; `scripts/test` sets it.
const PROGRAMS: &str = "BILLHOOK_TEST_POSTGRES_BIN";

/// A server; stopped and removed with this value.
pub(crate) struct PostgresServer {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl PostgresServer {
    /// A new server. `None` only where skipping was asked for.
    pub(crate) async fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert_eq!(
                variable(SKIP_POSTGRES).as_deref(),
                Some("1"),
                "this test starts a PostgreSQL server: install one, set {PROGRAMS}, or set {SKIP_POSTGRES}=1 to go without"
            );
            return None;
        };
        let made = tokio::task::spawn_blocking(|| Self::make(programs)).await;
        Some(made.unwrap())
    }

    fn make(programs: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server's user must come through to the folder that is its own.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let mut server = Self {
            folder,
            programs,
            port: 0,
        };
        std::fs::create_dir(server.home()).unwrap();
        if is_root() {
            let owned = Command::new("chown")
                .arg("postgres:")
                .arg(server.home())
                .status();
            assert!(owned.unwrap().success());
        }
        let data = server.data().display().to_string();
        let arguments = [
            "--no-sync",
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "-D",
        ];
        let made = server.program("initdb").args(arguments).arg(&data).status();
        assert!(made.unwrap().success(), "initdb failed");
        // Below the range from which the system takes ports of its own, so that it is free when the server comes back.
        let started = (0..5).any(|_| {
            server.port = rand::rng().random_range(20_000..32_000);
            server.try_to_run()
        });
        assert!(started, "no start:\n{}", server.log());
        server
    }

    /// What to connect to.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it: `fast` ends every session in order, `immediate` is a crash.
    pub(crate) fn stop(&self, mode: &str) {
        let stopped = self.control(&["stop", "--wait", "-m", mode]);
        assert!(stopped, "no stop:\n{}", self.log());
    }

    /// Starts it again where it was.
    pub(crate) fn run(&self) {
        assert!(self.try_to_run(), "no start:\n{}", self.log());
    }

    /// Nothing of it moves any more, and nobody is told: connections stay open and new ones are taken by the system.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// It goes on as if nothing had been.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let main = file.lines().next().unwrap();
        let kill = |pid: &str| {
            let mut kill = Command::new("kill");
            let sent = kill.args(["-s", name, pid]).stderr(Stdio::null()).status();
            // One that ended by itself meanwhile is as good as frozen, but there must be a `kill`.
            assert!(sent.is_ok(), "{sent:?}");
        };
        // The main process first: then no further one begins.
        kill(main);
        let children = format!("/proc/{main}/task/{main}/children");
        let children = std::fs::read_to_string(children).unwrap();
        children.split_whitespace().for_each(kill);
    }

    fn try_to_run(&self) -> bool {
        // Durable against a crash of the server, which these tests cause; not of the machine, which they do not.
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off",
            self.port
        );
        let log = self.home().join("log").display().to_string();
        self.control(&[
            "start",
            "--wait",
            "--timeout=60",
            "-l",
            &log,
            "-o",
            &options,
        ])
    }

    fn control(&self, arguments: &[&str]) -> bool {
        let data = self.data().display().to_string();
        let done = self
            .program("pg_ctl")
            .args(arguments)
            .args(["-D", &data])
            .status();
        done.unwrap().success()
    }

    /// A program of the server, as the user that it runs as: it refuses to be root.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(self.home())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home().join("log")).unwrap_or_default()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.thaw();
            self.control(&["stop", "--wait", "-m", "immediate"]);
        }
    }
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

/// The folder with `initdb` and `pg_ctl`: as told, else Debian's newest, else wherever the shell finds them.
fn programs() -> Option<PathBuf> {
    if let Some(told) = variable(PROGRAMS) {
        return Some(PathBuf::from(told));
    }
    let complete =
        |folder: &PathBuf| folder.join("initdb").exists() && folder.join("pg_ctl").exists();
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .filter(|(_, folder)| complete(folder))
        .collect();
    versions.sort();
    let path = variable("PATH").unwrap_or_default();
    versions.pop().map(|(_, folder)| folder).or_else(|| {
        path.split(':')
            .map(Path::new)
            .map(Path::to_path_buf)
            .find(complete)
    })
}
