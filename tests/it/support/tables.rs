//! The tables of a database, read and changed from outside, whichever database it is.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};

/// Rows of a statement whose columns are all text.
pub(crate) async fn select(url: &str, sql: &str) -> Vec<Vec<String>> {
    let sql = AssertSqlSafe(sql.to_owned());
    macro_rules! rows {
        ($connection:ty) => {{
            let mut connection = <$connection>::connect(url).await.unwrap();
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            rows.iter()
                .map(|row| {
                    (0..row.len())
                        .map(|at| row.get::<Option<String>, _>(at).unwrap_or_default())
                        .collect()
                })
                .collect()
        }};
    }
    if url.starts_with("sqlite:") {
        rows!(SqliteConnection)
    } else {
        rows!(PgConnection)
    }
}

/// Runs statements that answer nothing.
pub(crate) async fn execute(url: &str, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    macro_rules! run {
        ($connection:ty) => {{
            let mut connection = <$connection>::connect(url).await.unwrap();
            connection.execute(sqlx::raw_sql(sql)).await.unwrap();
            connection.close().await.unwrap();
        }};
    }
    if url.starts_with("sqlite:") {
        run!(SqliteConnection);
    } else {
        run!(PgConnection);
    }
}
