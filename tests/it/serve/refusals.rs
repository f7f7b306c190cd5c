//! What `serve` refuses to start on, and with which exit code.

use sqlx::AssertSqlSafe;

use super::on_both;
use crate::support::place::Place;

on_both!(a_schema_of_a_newer_version_is_refused_and_both_versions_are_named);

/// The one line that every refusal begins with, and its exit code.
async fn refused(
    place: &Place,
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> (Option<i32>, String) {
    let mut command = place.command(arguments);
    command.envs(settings.iter().copied());
    place.run(command).await
}

#[tokio::test]
async fn a_missing_secret_is_asked_for_by_name() {
    let place = Place::sqlite();
    let (code, told) = refused(&place, &["serve"], &[("STRIPE_WEBHOOK_SECRET", "")]).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.starts_with("error: no webhook secret is set"),
        "{told}"
    );
    assert!(told.contains("STRIPE_WEBHOOK_SECRET"), "{told}");
    assert!(!place.home().join("billhook.db").exists());
}

#[tokio::test]
async fn a_database_that_ends_with_the_process_is_refused() {
    let place = Place::sqlite();
    for url in ["sqlite://", "sqlite::memory:", "sqlite://:memory:"] {
        let (code, told) = refused(&place, &["serve"], &[("DATABASE_URL", url)]).await;
        assert_eq!(code, Some(2), "{url}: {told}");
        let expected = "error: `database.url` (DATABASE_URL) names no file";
        assert!(told.starts_with(expected), "{url}: {told}");
    }
}

#[tokio::test]
async fn an_unknown_key_is_named_wherever_it_was_written() {
    let place = Place::sqlite();
    let (code, told) = refused(&place, &["serve"], &[("BILLHOOK__WORKER__LEESE", "5s")]).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.starts_with("error: unknown key `worker.leese` in "),
        "{told}"
    );
    assert!(told.contains("BILLHOOK__WORKER__LEESE"), "{told}");

    let file = place.home().join("mine.toml");
    std::fs::write(&file, "[worker]\nleese = \"5s\"\n").unwrap();
    let (code, told) = refused(&place, &["--config", "mine.toml", "serve"], &[]).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.starts_with("error: unknown key `worker.leese` in mine.toml"),
        "{told}"
    );

    // The file in the current folder is read without being asked for.
    std::fs::rename(file, place.home().join("billhook.toml")).unwrap();
    let (code, told) = refused(&place, &["serve"], &[]).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.starts_with("error: unknown key `worker.leese` in billhook.toml"),
        "{told}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_the_outside_worlds_failure() {
    let place = Place::sqlite();
    let file = place.home().join("billhook.db");
    let text = "These are not the bytes of a database. ".repeat(100);
    std::fs::write(&file, &text).unwrap();
    let (code, told) = refused(&place, &["serve"], &[]).await;
    assert_eq!(code, Some(3), "{told}");
    assert!(
        told.starts_with("error: the database cannot be opened; check `DATABASE_URL`"),
        "{told}"
    );
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        text,
        "it was left as it was"
    );

    let folder = format!("sqlite://{}", place.home().display());
    let (code, told) = refused(&place, &["serve"], &[("DATABASE_URL", &folder)]).await;
    assert_eq!(code, Some(3), "{told}");
}

#[tokio::test]
async fn a_postgres_that_does_not_answer_is_the_outside_worlds_failure() {
    // Nobody listens on port 1 of this machine.
    let nowhere = "postgres://billhook:hunter2@127.0.0.1:1/billhook";
    let (code, told) = refused(&Place::sqlite(), &["serve"], &[("DATABASE_URL", nowhere)]).await;
    assert_eq!(code, Some(3), "{told}");
    assert!(
        told.starts_with("error: the database cannot be opened; check `DATABASE_URL`"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

async fn a_schema_of_a_newer_version_is_refused_and_both_versions_are_named(place: Place) {
    let (code, told) = refused(&place, &["migrate"], &[]).await;
    assert_eq!(code, Some(0), "{told}");
    let known = write_newer_version(&place.url()).await;
    for command in ["serve", "migrate"] {
        let (code, told) = refused(&place, &[command], &[]).await;
        assert_eq!(code, Some(2), "{command}: {told}");
        let expected = format!(
            "error: the database has schema version 9999, this billhook knows up to {known};"
        );
        assert!(told.starts_with(&expected), "{command}: {told}");
    }
}

/// Leaves the database as a later billhook would, and says which version this one has.
async fn write_newer_version(url: &str) -> i64 {
    const NEWEST: &str = "SELECT max(version) FROM _sqlx_migrations";
    let copy = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                SELECT 9999, 'later', success, checksum, execution_time FROM _sqlx_migrations WHERE version = ";
    if url.starts_with("sqlite:") {
        let pool = sqlx::SqlitePool::connect(url).await.unwrap();
        let known: i64 = sqlx::query_scalar(NEWEST).fetch_one(&pool).await.unwrap();
        let copied = sqlx::query(AssertSqlSafe(format!("{copy}{known}")))
            .execute(&pool)
            .await;
        assert_eq!(copied.unwrap().rows_affected(), 1);
        pool.close().await;
        known
    } else {
        let pool = sqlx::PgPool::connect(url).await.unwrap();
        let known: i64 = sqlx::query_scalar(NEWEST).fetch_one(&pool).await.unwrap();
        let copied = sqlx::query(AssertSqlSafe(format!("{copy}{known}")))
            .execute(&pool)
            .await;
        assert_eq!(copied.unwrap().rows_affected(), 1);
        pool.close().await;
        known
    }
}
