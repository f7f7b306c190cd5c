//! `SMTP_URL`: where the mail server is, how the line is protected, and who we are there.

use std::fmt;
use std::net::IpAddr;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::extension::ClientId;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

/// An address that cannot be used. It is not shown, because it holds the password.
#[derive(Debug, thiserror::Error)]
pub enum SmtpUrlError {
    /// No smtp:// or smtps:// address with a host.
    #[error("SMTP_URL is no address of the form smtp://HOST:PORT or smtps://USER:PASSWORD@HOST")]
    Malformed,
    /// A query that means nothing.
    #[error(
        "SMTP_URL has the unknown parameter `{name}`: only tls=required, tls=opportunistic and tls=none are known"
    )]
    Parameter {
        /// The parameter's name.
        name: String,
    },
    /// smtps:// with a `tls` that contradicts it.
    #[error("SMTP_URL asks for smtps:// and another `tls`: leave one of them out")]
    Contradiction,
    /// A user without a password, or the other way round.
    #[error("SMTP_URL has only one of user and password: give both, percent-encoded")]
    Credentials,
    /// TLS cannot be set up for the host.
    #[error("TLS cannot be set up for the host of SMTP_URL")]
    Tls(#[source] lettre::transport::smtp::Error),
}

/// How the line is protected.
#[derive(Clone)]
pub(super) enum Tls {
    /// From the first byte.
    Wrapper(TlsParameters),
    /// By STARTTLS, or not at all.
    Required(TlsParameters),
    /// By STARTTLS when offered.
    Opportunistic(TlsParameters),
    /// Not.
    None,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrapper(_) => "Wrapper",
            Self::Required(_) => "Required",
            Self::Opportunistic(_) => "Opportunistic",
            Self::None => "None",
        })
    }
}

/// A mail server.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) hello: ClientId,
    pub(super) credentials: Option<Credentials>,
}

impl Server {
    pub(super) fn parse(url: &SecretString) -> Result<Self, SmtpUrlError> {
        let url =
            Url::parse(url.expose_secret().trim()).map_err(|_error| SmtpUrlError::Malformed)?;
        // The brackets of an IPv6 address belong to the URL, not to the address.
        let host = url
            .host_str()
            .map(|host| host.trim_matches(['[', ']']))
            .unwrap_or_default()
            .to_owned();
        if host.is_empty() {
            return Err(SmtpUrlError::Malformed);
        }
        let mut wanted = None;
        for (name, value) in url.query_pairs() {
            match (name.as_ref(), value.as_ref()) {
                ("tls", "required" | "opportunistic" | "none") => wanted = Some(value.into_owned()),
                _ => {
                    return Err(SmtpUrlError::Parameter {
                        name: name.into_owned(),
                    });
                }
            }
        }
        let credentials = match (decode(url.username()), url.password().map(decode)) {
            (Some(user), None) if user.is_empty() => None,
            (Some(user), Some(Some(password))) if !user.is_empty() && !password.is_empty() => {
                Some(Credentials::new(user, password))
            }
            _ => return Err(SmtpUrlError::Credentials),
        };
        let parameters = || TlsParameters::new(host.clone()).map_err(SmtpUrlError::Tls);
        let (tls, port) = match (url.scheme(), wanted.as_deref()) {
            ("smtps", None | Some("required")) => (Tls::Wrapper(parameters()?), 465),
            ("smtps", Some(_)) => return Err(SmtpUrlError::Contradiction),
            ("smtp", Some("required")) => (Tls::Required(parameters()?), 587),
            ("smtp", Some("opportunistic")) => (Tls::Opportunistic(parameters()?), 587),
            ("smtp", Some(_)) => (Tls::None, 25),
            ("smtp", None) if is_loopback(&host) => (Tls::None, 25),
            // A password over an open line would be everybody's; who wants that says `tls=none`.
            ("smtp", None) if credentials.is_some() => (Tls::Required(parameters()?), 587),
            ("smtp", None) => (Tls::Opportunistic(parameters()?), 25),
            _ => return Err(SmtpUrlError::Malformed),
        };
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        Ok(Self {
            port: url.port().unwrap_or(port),
            host,
            tls,
            hello,
            credentials,
        })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Undoes percent-encoding. A `%` that begins no pair of digits stands for itself.
fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let byte = tail
            .get(..2)
            .filter(|pair| first == b'%' && pair.iter().all(u8::is_ascii_hexdigit))
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        if let Some(byte) = byte {
            decoded.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            decoded.push(first);
            rest = tail;
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        match Server::parse(&url.into()) {
            Ok(server) => {
                let login = if server.credentials.is_some() {
                    "with login"
                } else {
                    "without login"
                };
                format!("{} {} {:?} {login}", server.host, server.port, server.tls)
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_address_says_how_to_connect() {
        for (url, expected) in [
            (
                "smtp://mail.example",
                "mail.example 25 Opportunistic without login",
            ),
            ("smtp://localhost:1025", "localhost 1025 None without login"),
            ("smtp://[::1]:1025", "::1 1025 None without login"),
            (
                "smtp://u:p@mail.example",
                "mail.example 587 Required with login",
            ),
            (
                "smtp://u:p@mail.example?tls=none",
                "mail.example 25 None with login",
            ),
            (
                "smtp://mail.example:2525?tls=required",
                "mail.example 2525 Required without login",
            ),
            (
                "smtp://mail.example?tls=opportunistic",
                "mail.example 587 Opportunistic without login",
            ),
            (
                "smtps://u:p%40ss@mail.example\n",
                "mail.example 465 Wrapper with login",
            ),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }

    #[test]
    fn a_bad_address_is_refused_without_being_shown() {
        for url in [
            "mail.example",
            "http://mail.example",
            "smtp://",
            "smtp://u:s3cret@mail.example?tls=maybe",
            "smtp://u:s3cret@mail.example?timeout=3",
            "smtps://u:s3cret@mail.example?tls=none",
            "smtp://user-without-password@mail.example",
            "smtp://:s3cret@mail.example",
        ] {
            let error = Server::parse(&url.into())
                .map(drop)
                .unwrap_err()
                .to_string();
            assert!(
                !error.contains("s3cret") && !error.contains("mail.example"),
                "{url}: {error}"
            );
        }
    }

    #[test]
    fn percent_encoding_is_undone() {
        assert_eq!(decode("p%40s%25s%+4%2").unwrap(), "p@s%s%+4%2");
        assert_eq!(decode("%c3%A9+").unwrap(), "é+");
        assert_eq!(decode("%ff"), None);
    }
}
