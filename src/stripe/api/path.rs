//! Which paths are asked for. Some come from events, so they are checked letter by letter and then once more as an
//! address: whoever could choose where a request goes would get the key with it.

use reqwest::Url;

use super::error::ApiError;

/// Longer than any path of Stripe's.
const MAX_CHARS: usize = 1000;

/// The address of `path` below `base`.
pub(super) fn url(base: &Url, path: &str, query: &[(&str, &str)]) -> Result<Url, ApiError> {
    let bad = || ApiError::bad_path(path);
    if !is_safe(path) {
        return Err(bad());
    }
    let whole = format!("{}{path}", base.path().trim_end_matches('/'));
    let mut url = base.clone();
    url.set_path(&whole);
    url.set_query(None);
    url.set_fragment(None);
    // Whatever the address parser made of it: it must be what was meant.
    if url.path() != whole || url.origin() != base.origin() {
        return Err(bad());
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// Whether a path leads into Stripe's two namespaces and holds nothing that could be read in two ways: no dots that
/// climb, no empty segment, nothing encoded, nothing beyond what ids are made of.
fn is_safe(path: &str) -> bool {
    let is_plain = |segment: &str| {
        segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
            && segment.bytes().any(|byte| byte != b'.')
    };
    (path.starts_with("/v1/") || path.starts_with("/v2/"))
        && path.len() <= MAX_CHARS
        && path.split('/').skip(1).all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        Url::parse("https://api.stripe.com").unwrap()
    }

    #[test]
    fn paths_of_both_namespaces_are_asked_for_below_the_base() {
        let query = [("created[gte]", "1"), ("status", "all & more")];
        let address = url(&base(), "/v1/subscriptions", &query).unwrap();
        assert_eq!(
            address.as_str(),
            "https://api.stripe.com/v1/subscriptions?created%5Bgte%5D=1&status=all+%26+more"
        );
        let proxy = Url::parse("http://127.0.0.1:12111/stripe/?key=x#part").unwrap();
        let address = url(&proxy, "/v2/core/events/evt_1", &[]).unwrap();
        assert_eq!(
            address.as_str(),
            "http://127.0.0.1:12111/stripe/v2/core/events/evt_1"
        );
        for path in ["/v1/a", "/v1/products/my.plan-2_x", "/v1/x/..y"] {
            assert!(url(&base(), path, &[]).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_path_from_an_event_leads_nowhere_else() {
        for path in [
            // other hosts, other schemes
            "https://evil.example/v1/customers/cus_1",
            "http://169.254.169.254/latest/meta-data/",
            "//evil.example/v1/customers/cus_1",
            "///evil.example/v1/x",
            "/\\evil.example/v1/x",
            "\\\\evil.example\\v1\\x",
            "/v1//evil.example/x",
            "/v1/https://evil.example",
            "file:///etc/passwd",
            "@evil.example/v1/x",
            ":80@evil.example/v1/x",
            "/v1/@evil.example:443/x",
            "evil.example/v1/x",
            "javascript:alert(1)",
            // out of the namespaces
            "/",
            "",
            "/v1",
            "/v1/",
            "/v2/",
            "/v3/x",
            "/V1/x",
            "/v10/x",
            "v1/x",
            " /v1/x",
            "/oauth/token",
            "/v1/../oauth/token",
            "/v1/./x",
            "/v1/..",
            "/v1/...",
            "/v1/x/../../../oauth",
            "/v2/%2e%2e/oauth/token",
            "/v1/%2E%2E/x",
            "/v1/..%2foauth",
            "/v1/%252e%252e/x",
            "/v1/..;/x",
            "/v1/x\\..\\..\\oauth",
            "/v1/x%5c..%5c..",
            // what ends a path, a line or a text
            "/v1/x?expand[]=data",
            "/v1/x#fragment",
            "/v1/x y",
            "/v1/x\tz",
            "/v1/x\r\nHost: evil.example",
            "/v1/x%0d%0aHost:%20evil.example",
            "/v1/x\0",
            "/v1/x%00",
            "/v1/x/",
            // letters that look like others
            "/v1/\u{2024}\u{2024}/x",
            "/v1/\u{ff0e}\u{ff0e}/x",
            "/v1\u{2215}x",
            "/v1/x\u{200b}",
            "/v1/cus_\u{e9}",
        ] {
            let error = url(&base(), path, &[]).expect_err(path);
            assert!(matches!(error, ApiError::BadPath(_)), "{path}: {error}");
            assert!(error.to_string().is_ascii(), "{error}");
        }
        let long = format!("/v1/{}", "x".repeat(MAX_CHARS));
        assert!(url(&base(), &long, &[]).is_err());
    }
}
