//! Where the program runs in black-box tests: a folder, a database, and what is configured.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::process::{PATIENCE, Process, SECRET, TOKEN, ended};
use super::services::{PostgresDatabase, variable};

/// A Redis that every process uses whose test has none of its own; it may vanish at any moment, and does.
const REDIS: &str = "BILLHOOK_TEST_SERVE_REDIS";
/// Names another build of the program, such as an optimized one.
const PROGRAM: &str = "BILLHOOK_TEST_PROGRAM";

/// A folder and a database that outlive the processes that a test starts and kills.
pub(crate) struct Place {
    home: TempDir,
    postgres: Option<PostgresDatabase>,
    settings: Vec<(String, String)>,
}

impl Place {
    /// A SQLite file that does not exist yet.
    pub(crate) fn sqlite() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            postgres: None,
            settings: Vec::new(),
        }
    }

    /// A variable of the environment for every process that is started from now on.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.settings.push((name.to_owned(), value.into()));
    }

    /// An empty database; `None` only where skipping was asked for.
    pub(crate) async fn postgres() -> Option<Self> {
        let postgres = Some(PostgresDatabase::empty().await?);
        Some(Self {
            postgres,
            ..Self::sqlite()
        })
    }

    /// Another place of the same kind, with the same settings and an empty database.
    pub(crate) async fn another(&self) -> Self {
        let mut place = Self::sqlite();
        if self.postgres.is_some() {
            place.postgres = PostgresDatabase::empty().await;
        }
        place.settings.clone_from(&self.settings);
        place
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn url(&self) -> String {
        match &self.postgres {
            Some(database) => database.url(),
            None => format!("sqlite://{}", self.home().join("billhook.db").display()),
        }
    }

    /// The program with this place's configuration, and nothing of whoever runs the tests.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let program =
            variable(PROGRAM).unwrap_or_else(|| env!("CARGO_BIN_EXE_billhook").to_owned());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.home())
            .env_clear()
            .env("DATABASE_URL", self.url())
            .env("STRIPE_WEBHOOK_SECRET", SECRET)
            .env("BILLHOOK_ADMIN_TOKEN", TOKEN)
            .env("BILLHOOK_LISTEN", "127.0.0.1:0")
            .env("EMAIL_FROM", "Acme Billing <billing@acme.example>")
            // The same stages as ever, only sooner.
            .env("BILLHOOK__FOLLOW_UP__SETTLE", "200ms")
            .env("BILLHOOK__FOLLOW_UP__FIRST_CONTACT_DELAY", "0s")
            .env("BILLHOOK__WORKER__POLL", "50ms")
            .env("BILLHOOK__WORKER__LEASE", "2s")
            .env("BILLHOOK__RETRY__BASE", "100ms")
            .envs(variable(REDIS).map(|url| ("REDIS_URL", url)))
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Starts `serve` and waits until it is ready.
    pub(crate) async fn serve(&self) -> Process {
        self.serve_as("all").await
    }

    /// Starts `serve` with a role and waits until it is ready. Several may run at once over PostgreSQL.
    pub(crate) async fn serve_as(&self, role: &str) -> Process {
        let command = self.command(&["--json", "serve", "--role", role]);
        Process::start(command, self.home().join("serve.log")).await
    }

    /// Runs a command to its end: exit code and standard error.
    pub(crate) async fn run(&self, mut command: Command) -> (Option<i32>, String) {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let status = ended(&mut child, PATIENCE).await;
        let Some(status) = status else {
            child.kill().unwrap();
            panic!("{command:?} did not end");
        };
        let mut told = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut told).unwrap();
        (status.code(), told)
    }

    /// Every mail that was written, by its file's name, which is its Message-ID.
    pub(crate) fn mails(&self) -> Vec<String> {
        let Ok(folder) = std::fs::read_dir(self.home().join("mail")) else {
            return Vec::new();
        };
        folder
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| {
                std::path::Path::new(name)
                    .extension()
                    .is_some_and(|ending| ending == "eml")
            })
            .collect()
    }
}
