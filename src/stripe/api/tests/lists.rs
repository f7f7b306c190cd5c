use serde_json::{Value, json};

use super::super::answer::MAX_BODY;
use super::super::{ApiError, Scope, StripeApi};
use super::Script;

/// Every invoice that the list shows.
async fn invoices(api: &StripeApi, filter: &[(&str, &str)]) -> Result<Vec<Value>, ApiError> {
    let mut pages = api.pages("/v1/invoices", filter, Scope::default());
    let mut items = Vec::new();
    while let Some(mut page) = pages.next().await? {
        items.append(&mut page.items);
    }
    Ok(items)
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let page = |ids: [u32; 2], more: bool| json!({"data": ids.map(|id| json!({"id": format!("in_{id}")})), "has_more": more});
    let script =
        Script::default()
            .then(200, &[], &page([4, 3], true))
            .then(200, &[], &page([2, 1], false));
    let api = script.serve().await;
    let filter = [("status", "open")];
    let items = invoices(&api, &filter).await;
    assert_eq!(items.unwrap().len(), 4);
    assert_eq!(
        script.asked(),
        [
            "/v1/invoices?status=open&limit=100",
            "/v1/invoices?status=open&limit=100&starting_after=in_3"
        ]
    );
}

#[tokio::test]
async fn a_list_that_goes_in_a_circle_or_is_none_ends() {
    for (body, what) in [
        (
            json!({"data": [{"id": "in_1"}], "has_more": true}),
            "goes in a circle",
        ),
        (
            json!({"data": [], "has_more": true}),
            "has more, and nothing to go on from",
        ),
        (
            json!({"data": [{"id": 5}], "has_more": true}),
            "has more, and nothing to go on from",
        ),
        (json!({"data": {}, "has_more": true}), "is no list"),
        (json!([]), "is no list"),
    ] {
        let api = Script::default().then(200, &[], &body).serve().await;
        let error = invoices(&api, &[]).await;
        let Err(ApiError::NotAList { what: found, .. }) = error else {
            panic!("{body}: {error:?}")
        };
        assert_eq!(found, what, "{body}");
    }
}

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_for_in_smaller_pieces() {
    let huge = format!("\"{}\"", "x".repeat(MAX_BODY));
    let script = Script::default()
        .then(200, &[], &huge)
        .then(200, &[], &huge)
        .then(
            200,
            &[],
            &json!({"data": [{"id": "in_1"}], "has_more": false}),
        );
    let api = script.serve().await;
    let items = invoices(&api, &[]).await;
    assert_eq!(items.unwrap().len(), 1);
    assert_eq!(
        script.asked(),
        [
            "/v1/invoices?limit=100",
            "/v1/invoices?limit=50",
            "/v1/invoices?limit=25"
        ]
    );
}
