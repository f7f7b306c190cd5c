//! Statements, migrations, and schemas of other versions.

use crate::support::bench::Bench;

async fn every_statement_is_understood(bench: Bench) {
    let count = bench
        .store
        .prepare_all()
        .await
        .unwrap_or_else(|(name, error)| panic!("{name}: {error:?}"));
    assert!(count > 80, "{count} statements");
}

#[tokio::test]
async fn sqlite_understands_every_statement() {
    every_statement_is_understood(Bench::sqlite().await).await;
}

#[tokio::test]
async fn postgres_understands_every_statement() {
    if let Some(bench) = Bench::postgres().await {
        every_statement_is_understood(bench).await;
    }
}
