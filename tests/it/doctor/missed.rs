//! What `doctor` says of Stripe's API and of events that were missed.

use billhook::clock::{Clock as _, SystemClock};
use sqlx::{Connection as _, SqliteConnection};

use super::rows;
use crate::support::place::Place;
use crate::support::stripe_api::{OWN_ACCOUNT, StripeServer, Trouble};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_key_lacks_and_what_was_missed_is_said() {
    let now = SystemClock.now().seconds();
    let stripe = StripeServer::start(now).await;
    let mut place = Place::sqlite();
    place.set("STRIPE_SECRET_KEY", "rk_test_hunter2");
    place.set("STRIPE_API_BASE", stripe.url());
    let looked = place.run(place.command(&["backfill"])).await;
    assert_eq!(looked.0, Some(0), "{}", looked.1);
    let (_, told) = rows(&place).await;
    let found = "ok      missed events: looked for 0 h ago in 1 account(s); all up to 20";
    assert!(told.contains(found), "{told}");

    stripe.shelf().forbid("/v1/payouts", "rak_payout_read");
    let looked = place
        .run(place.command(&["backfill", "--since", "60d"]))
        .await;
    assert_eq!(looked.0, Some(2), "{}", looked.1);
    stripe.shelf().forbid("/v1/events", "rak_event_read");
    let (code, told) = rows(&place).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("failed  Stripe API: the API key lacks the permission rak_event_read"),
        "{told}"
    );
    assert!(
        told.contains("warning missed events: those from 20"),
        "{told}"
    );
}

/// How far the accounts are that a look was about, and what answers where Stripe is said to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_accounts_that_are_still_looked_at_count_as_missed() {
    let now = SystemClock.now().seconds();
    let stripe = StripeServer::start(now).await;
    let mut place = Place::sqlite();
    place.set("STRIPE_SECRET_KEY", "rk_test_hunter2");
    place.set("STRIPE_API_BASE", stripe.url());
    stripe.shelf().disconnect("acct_gone");
    let look = async |place: &Place, accounts: &str| {
        let mut command = place.command(&["backfill"]);
        command.env("BILLHOOK__STRIPE__ACCOUNTS", accounts);
        let looked = place.run(command).await;
        assert_eq!(looked.0, Some(0), "{}", looked.1);
    };
    look(&place, "acct_before").await;
    let url = format!("sqlite://{}", place.home().join("billhook.db").display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let day = 86_400_000_000_i64;
    let long_ago = SystemClock.now().0 - 45 * day;
    for sql in [
        "UPDATE backfills SET done_at = $1, mark = $1 WHERE account = 'acct_before'",
        "INSERT INTO backfills (account, livemode, done_at, mark) VALUES ('acct_other', 0, $1, $1)",
    ] {
        let changed = sqlx::query(sql).bind(long_ago).execute(&mut database).await;
        assert_eq!(changed.unwrap().rows_affected(), 1);
    }
    database.close().await.unwrap();

    place.set("BILLHOOK__STRIPE__ACCOUNTS", "acct_now");
    look(&place, "acct_now").await;
    let (_, told) = rows(&place).await;
    let found = "ok      missed events: looked for 0 h ago in 2 account(s); all up to 20";
    assert!(told.contains(found), "{told}");

    // One of which nothing was ever listed is not what is known of the others.
    place.set("BILLHOOK__STRIPE__ACCOUNTS", "acct_now,acct_gone");
    look(&place, "acct_now,acct_gone").await;
    let (_, told) = rows(&place).await;
    let found = "warning missed events: looked for 0 h ago in 3 account(s); all up to 20";
    assert!(told.contains(found), "{told}");
    let but = "are here, but for 1 account(s) that no look could cover: acct_gone > `billhook backfill` says why";
    assert!(told.contains(but), "{told}");

    place.set("BILLHOOK__STRIPE__ACCOUNTS", "");
    let (_, told) = rows(&place).await;
    assert!(
        told.contains("warning missed events: looked for 1080 h ago in 5"),
        "{told}"
    );

    stripe.troubles([Some(Trouble::Fails {
        status: 404,
        again: false,
    })]);
    let (_, told) = rows(&place).await;
    assert!(
        told.contains(
            "failed  Stripe API: what answers has no /v1/events (404) > check `stripe.api_base`"
        ),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_that_the_keys_own_account_had_before_is_not_looked_at() {
    let stripe = StripeServer::start(SystemClock.now().seconds()).await;
    let mut place = Place::sqlite();
    place.set("STRIPE_SECRET_KEY", "rk_test_hunter2");
    place.set("STRIPE_API_BASE", stripe.url());
    for count in [1, 2] {
        let looked = place.run(place.command(&["backfill"])).await;
        assert_eq!(looked.0, Some(0), "{}", looked.1);
        let (_, told) = rows(&place).await;
        let found = "ok      missed events: looked for 0 h ago in 1 account(s); all up to 20";
        assert!(told.contains(found), "{count}: {told}");
        place.set("BILLHOOK__STRIPE__ENDPOINTS__OWN__ACCOUNT", OWN_ACCOUNT);
        place.set("BILLHOOK__STRIPE__ENDPOINTS__OWN__SECRETS", "whsec_b3du");
    }
}
