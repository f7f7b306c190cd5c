//! What processes over one database tell each other: who the database is, and on PostgreSQL that something was committed.
//!
//! A notice may be lost, and nothing here is part of a verb's transaction: `NOTIFY` takes a lock that is held for the
//! whole commit and would have all writers queue behind each other.

use std::io::ErrorKind;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use super::database::{Database, args, statements};
use super::error::StoreError;
use super::sql_store::SqlStore;

statements! {
    /// On PostgreSQL with the number of the database in its server: a copy, as by `TEMPLATE` or from a dump, has all the
    /// rows of the original and yet is another one.
    IDENTITY: "SELECT id FROM identity",
        postgres: "SELECT id || '.' || (SELECT oid FROM pg_database WHERE datname = current_database())::TEXT AS id FROM identity";
    /// Only PostgreSQL is ever asked.
    NOTIFY: "SELECT $1 AS channel, $2 AS notice", postgres: "SELECT count(*) AS sent FROM pg_notify($1, $2)";
}

/// A channel belongs to one database, so its name needs no more than this.
const CHANNEL: &str = "billhook";
/// A line that says nothing for so long is asked whether it still stands: a connection may die without a word.
const QUIET: Duration = Duration::from_secs(10);
/// How long opening a line, and an answer on it, may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl SqlStore {
    /// The name of this very database: no other has it, not even a copy on the same server.
    pub async fn identity(&self) -> Result<String, StoreError> {
        let row = self.db.row(&IDENTITY, args![]).await?;
        row.ok_or(StoreError::Inconsistent {
            column: "identity.id",
            what: "no row",
        })?
        .text("id")
    }

    /// How processes over this database reach each other; none on SQLite, which serves one process.
    pub fn notices(&self) -> Option<Notices> {
        match &self.db {
            Database::Sqlite { .. } => None,
            Database::Postgres { pool, .. } => Some(Notices {
                db: self.db.clone(),
                options: pool.connect_options().as_ref().clone(),
                patience: PATIENCE,
            }),
        }
    }
}

/// Sends and receives short texts, which may be lost.
pub struct Notices {
    db: Database,
    options: PgConnectOptions,
    /// How long opening a line as a whole may take.
    patience: Duration,
}

impl Notices {
    /// Tells everybody who listens now.
    pub async fn send(&self, notice: &str) -> Result<(), StoreError> {
        self.db.row(&NOTIFY, args![CHANNEL, notice]).await.map(drop)
    }

    /// Opens a line of its own, outside of the pool: it is busy for as long as it stands.
    pub async fn listen(&self) -> Result<Line, StoreError> {
        let own = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.patience)
            .connect_lazy_with(self.options.clone());
        let opened = async {
            let mut listener = PgListener::connect_with(&own)
                .await
                .map_err(StoreError::Unreachable)?;
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok(Line(listener))
        };
        // A server may freeze between letting us in and answering.
        tokio::time::timeout(self.patience, opened)
            .await
            .unwrap_or_else(|_elapsed| Err(broken(ErrorKind::TimedOut)))
    }
}

/// A line that stands.
pub struct Line(PgListener);

impl Line {
    /// The next notice. After an error the line is dead, and whatever was sent meanwhile is lost.
    pub async fn next(&mut self) -> Result<String, StoreError> {
        loop {
            match tokio::time::timeout(QUIET, self.0.try_recv()).await {
                Ok(Ok(Some(notice))) => return Ok(notice.payload().to_owned()),
                Ok(Ok(None)) => return Err(broken(ErrorKind::ConnectionAborted)),
                Ok(Err(error)) => return Err(StoreError::Unreachable(error)),
                Err(_quiet) => self.is_alive().await?,
            }
        }
    }

    async fn is_alive(&mut self) -> Result<(), StoreError> {
        let asked = sqlx::query("SELECT 1").execute(&mut self.0);
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => answer.map(drop).map_err(StoreError::Unreachable),
            Err(_elapsed) => Err(broken(ErrorKind::TimedOut)),
        }
    }
}

fn broken(kind: ErrorKind) -> StoreError {
    StoreError::Unreachable(sqlx::Error::Io(kind.into()))
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgSslMode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Lets one client in, and freezes when it asks something.
    async fn let_in_and_freeze(listener: TcpListener) {
        let (mut client, _) = listener.accept().await.unwrap();
        let length = usize::try_from(client.read_u32().await.unwrap()).unwrap();
        let mut startup = vec![0; length - 4];
        client.read_exact(&mut startup).await.unwrap();
        // "Authenticated", and "ready, and in no transaction".
        let welcome = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
        client.write_all(welcome).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'Q');
        std::future::pending::<()>().await;
    }

    #[tokio::test]
    async fn a_server_that_freezes_while_a_line_is_opened_is_given_up() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(server.local_addr().unwrap().port())
            .username("billhook")
            .ssl_mode(PgSslMode::Disable);
        let notices = Notices {
            db: Database::Postgres {
                pool: PgPoolOptions::new().connect_lazy_with(options.clone()),
                limit: PATIENCE,
            },
            options,
            patience: Duration::from_secs(1),
        };
        let listening = tokio::time::timeout(Duration::from_mins(1), notices.listen());
        let opened = tokio::select! {
            opened = listening => opened,
            () = let_in_and_freeze(server) => unreachable!("it stays frozen"),
        };
        let error = opened.expect("it is not waited for without end").err();
        assert!(
            matches!(&error, Some(StoreError::Unreachable(sqlx::Error::Io(io))) if io.kind() == ErrorKind::TimedOut),
            "{error:?}"
        );
    }
}
