//! Who may use the API: nobody without the token, and no browser that was led here by somebody else's page.
//!
//! A page of a stranger can make a browser send requests to this address; `Origin` gives it away. A name of a stranger
//! can point to a loopback address (DNS rebinding); `Host` gives that away.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::App;
use super::problem::Problem;

/// Lets a request through to the API, or refuses it.
pub(super) async fn guard(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let host = host(&request);
    if app.state.listens_on_loopback && !host.as_ref().is_some_and(is_local) {
        return Err(forbidden(
            "foreign-host",
            "this server listens on a loopback address: ask for localhost, 127.0.0.1 or [::1]",
        ));
    }
    if !is_own_origin(request.headers(), host.as_ref()) {
        return Err(forbidden(
            "foreign-origin",
            "a page of another origin may not use this API",
        ));
    }
    if !knows(request.headers(), &app.state.admin_token) {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "The token is missing or wrong",
            "send `Authorization: Bearer TOKEN` with the token that BILLHOOK_ADMIN_TOKEN sets or that was printed at start",
        )
        .challenge("Bearer realm=\"billhook\""));
    }
    Ok(next.run(request).await)
}

fn forbidden(name: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, name, "Forbidden", detail)
}

fn host(request: &Request) -> Option<Authority> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
        (None, _) => request.uri().authority().cloned(),
        // Which of two would be believed is a matter of taste, so neither is.
        (Some(_), Some(_)) => None,
    }
}

fn is_local(host: &Authority) -> bool {
    let name = host.host();
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The scheme is not compared: whoever ends TLS before this server changes it.
fn is_own_origin(headers: &HeaderMap, host: Option<&Authority>) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let authority = origin.to_str().ok().and_then(|origin| {
            origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"))
        });
        match (authority, host) {
            (Some(authority), Some(host)) => authority.eq_ignore_ascii_case(host.as_str()),
            _ => false,
        }
    })
}

fn knows(headers: &HeaderMap, token: &SecretString) -> bool {
    let Some((scheme, given)) = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.split_once(' '))
    else {
        return false;
    };
    let token = token.expose_secret();
    // Digests have one length, so that not even the token's length can be timed.
    let same: bool = Sha256::digest(given.trim())
        .ct_eq(&Sha256::digest(token))
        .into();
    scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && same
}
