//! What a store verb can answer besides its result, and what follows from it.

/// Why a store verb failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `DATABASE_URL` is neither of the two.
    #[error("`DATABASE_URL` must start with sqlite:// or postgres://")]
    UnknownUrl,
    /// The database does not answer, or its file cannot be read.
    #[error(
        "the database cannot be opened; check `DATABASE_URL`, and that the server runs or the file is readable"
    )]
    Unreachable(#[source] sqlx::Error),
    /// The database answered with an error.
    #[error("the database refused a statement")]
    Database(#[from] sqlx::Error),
    /// The database server did not answer in time. Whether it did what it was asked is not known.
    #[error(
        "the database server did not answer within `database.timeout`; check that it is not overloaded or out of reach"
    )]
    Silent,
    /// The schema is newer than this program.
    #[error(
        "the database has schema version {found}, this billhook knows up to {known}; run the newer billhook, or point `DATABASE_URL` elsewhere"
    )]
    SchemaTooNew {
        /// The newest version in the database.
        found: i64,
        /// The newest version this program has.
        known: i64,
    },
    /// The schema is older and may not be changed.
    #[error("the database has no billhook schema or an old one; run `billhook migrate`")]
    SchemaMissing,
    /// A migration failed.
    #[error("migrating the database failed")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A row holds what it never should.
    #[error("column {column} is not what billhook writes: {what}")]
    Inconsistent {
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A row holds JSON that cannot be read.
    #[error("column {column} holds JSON that billhook cannot read")]
    Json {
        /// The column.
        column: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A page was to go on after a row that is not there.
    #[error("no such {object}: '{id}'; a page goes on after the id of a row of its list")]
    NoSuch {
        /// What the list has.
        object: String,
        /// The id that was given.
        id: String,
    },
    /// Another worker took over: whatever was being done is not ours any more.
    #[error("another worker took over")]
    Fenced,
    /// The inbox holds more than it should; nothing was stored.
    #[error("the inbox holds {0} events that are not applied yet")]
    Backlog(u64),
    /// The event cannot be understood at all.
    #[error(transparent)]
    Unreadable(#[from] crate::guardrails::mandatory::Unreadable),
    /// A stored body does not parse any more.
    #[error("the stored body of event {event} cannot be read")]
    Body {
        /// The event.
        event: String,
        /// Why.
        #[source]
        source: crate::stripe::event::EventError,
    },
    /// Writers kept changing the same objects; trying again will do.
    #[error("the objects of this event kept changing; it is tried again")]
    Contended,
}

impl StoreError {
    pub(super) fn no_such(object: &str, id: &str) -> Self {
        Self::NoSuch {
            object: object.replace('_', " "),
            id: id.to_owned(),
        }
    }

    /// Trying again cannot help: the data itself is what fails.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Unreadable(_) | Self::Body { .. } => true,
            Self::Database(sqlx::Error::Database(error)) => error
                .code()
                // PostgreSQL class 22: the data cannot be represented.
                .is_some_and(|code| code.len() == 5 && code.starts_with("22")),
            _ => false,
        }
    }

    /// The database fails, not what it was asked: whatever else is tried meanwhile would fail, too, so it counts against
    /// nothing.
    pub fn is_about_the_database(&self) -> bool {
        match self {
            Self::Silent | Self::Unreachable(_) => true,
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| is_condition(&code))
            }
            Self::Database(error) => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
            ),
            _ => false,
        }
    }

    /// A deadlock or serialization failure, which the same transaction survives when it is run again.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error))
            if matches!(error.code().as_deref(), Some("40001" | "40P01")))
    }
}

/// Whether a code names what a database is in, not what it was given.
fn is_condition(code: &str) -> bool {
    if code.len() == 5 {
        // PostgreSQL: connections, rollbacks of what would do alone, resources, locks that are not to be had, time limits and
        // shutdowns, its system; a server that is a replica by now.
        return ["08", "40", "53", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class))
            || matches!(code, "55P03" | "25006" | "25P03");
    }
    // SQLite keeps its primary code in the lowest byte: busy, locked, read-only, input and output, full, cannot open.
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_is_in_is_told_from_what_it_was_given() {
        for code in [
            "08006", "40001", "40P01", "53100", "53300", "55P03", "57014", "57P01", "58030",
            "25006", "5", "517", "6", "8", "10", "3338", "13", "14",
        ] {
            assert!(is_condition(code), "{code}");
        }
        for code in [
            "22021", "23505", "42P01", "42703", "25001", "1", "19", "2067", "20", "",
        ] {
            assert!(!is_condition(code), "{code}");
        }
    }

    #[test]
    fn only_an_error_of_the_database_is_about_it() {
        let about = [
            StoreError::Silent,
            StoreError::Database(sqlx::Error::PoolTimedOut),
            StoreError::Database(sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into())),
        ];
        for error in about {
            assert!(error.is_about_the_database(), "{error:?}");
        }
        let item = [
            StoreError::Contended,
            StoreError::Fenced,
            StoreError::Database(sqlx::Error::RowNotFound),
            StoreError::Inconsistent {
                column: "steps.data",
                what: "another step has this number",
            },
        ];
        for error in item {
            assert!(!error.is_about_the_database(), "{error:?}");
        }
    }
}
