//! Stripe's webhook signatures: whether a body was signed by one who knows an endpoint's secret, and lately.
//!
//! The header is `t=SECONDS,v1=HEX[,v1=HEX…]`, the signature HMAC-SHA256 over `SECONDS.BODY` with the secret as it is
//! written, `whsec_` included. It covers bytes: nothing here decodes or re-writes a body before it is verified. An
//! empty body may be signed; that it is no event is the envelope's word to say.
//!
//! Two choices that implementations differ in: the hexadecimal digits of `v1` must be lowercase, as Stripe writes
//! them, and a timestamp must be written without sign or leading zeros, so that what is verified is what is compared.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::clock::Timestamp;

/// The longest header that is read. Stripe's have some 150 bytes, or 80 more for each secret being rolled.
const MAX_HEADER_BYTES: usize = 4096;
/// The most parts that are read; each `v1` among them is compared with each secret's signature.
const MAX_PARTS: usize = 32;
/// The length of an HMAC-SHA256 in bytes.
const MAC_BYTES: usize = 32;

/// The secrets of one endpoint: one, or several while Stripe rolls it. There is always one, and none is empty.
#[derive(Debug, Clone)]
pub struct SigningSecrets(Vec<SecretString>);

/// Why a setting holds no signing secrets. No variant repeats what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// There is no secret at all, and anybody could sign with an empty one.
    #[error("no signing secret: copy the one of this endpoint, it starts with whsec_")]
    Empty,
    /// A secret has white space or a control character inside.
    #[error("a signing secret holds white space: separate several secrets by commas")]
    WhiteSpace,
    /// The account's API key stands where the endpoint's secret belongs.
    #[error("this is an API key, not a signing secret: copy the endpoint's, it starts with whsec_")]
    ApiKey,
}

impl SigningSecrets {
    /// Reads secrets as they are written in a setting: separated by commas, space around them ignored.
    pub fn parse(list: &str) -> Result<Self, SecretsError> {
        Self::new(
            list.split(',')
                .map(str::trim)
                .filter(|secret| !secret.is_empty()),
        )
    }

    /// Takes secrets one by one; space around them is ignored.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, SecretsError> {
        let secrets = secrets
            .into_iter()
            .map(secret)
            .collect::<Result<Vec<_>, _>>()?;
        if secrets.is_empty() {
            Err(SecretsError::Empty)
        } else {
            Ok(Self(secrets))
        }
    }

    /// The secrets, in the order in which they were written.
    pub fn as_slice(&self) -> &[SecretString] {
        &self.0
    }
}

fn secret(text: &str) -> Result<SecretString, SecretsError> {
    let text = text.trim();
    if text.is_empty() {
        Err(SecretsError::Empty)
    } else if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Err(SecretsError::WhiteSpace)
    } else if ["sk_", "rk_", "pk_"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
    {
        Err(SecretsError::ApiKey)
    } else {
        Ok(SecretString::from(text))
    }
}

/// Why a delivery is not believed. The texts may be shown to whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is missing or empty.
    #[error("no Stripe-Signature header: only Stripe posts here, or a proxy dropped it")]
    NoHeader,
    /// The header was sent more than once.
    #[error("more than one Stripe-Signature header: send it once")]
    RepeatedHeader,
    /// The header is longer, or has more parts, than Stripe's can have.
    #[error(
        "the Stripe-Signature header is too large: Stripe sends a timestamp and a few signatures"
    )]
    TooLarge,
    /// There is no `t`.
    #[error("no timestamp in the Stripe-Signature header: it needs t=SECONDS")]
    NoTimestamp,
    /// There is more than one `t`: which of them was signed must not be a matter of taste.
    #[error("more than one timestamp in the Stripe-Signature header: it needs one t=SECONDS")]
    RepeatedTimestamp,
    /// `t` is no number of seconds in plain digits.
    #[error(
        "the timestamp in the Stripe-Signature header is no number of seconds: write t in plain digits"
    )]
    BadTimestamp,
    /// There is no `v1`; `v0` is a fake that Stripe adds to test events.
    #[error("no v1 signature in the Stripe-Signature header: only the scheme v1 counts")]
    NoSignature,
    /// No `v1` was made with a secret of this endpoint from this body.
    #[error(
        "no v1 signature matches: is STRIPE_WEBHOOK_SECRET the secret of this endpoint, and the body unchanged?"
    )]
    NoMatch,
    /// The signature is good, and too old, or from the future.
    #[error("timestamp outside the tolerance of {} s: check the clock, or have Stripe send it again", .tolerance.as_secs_f64())]
    OutsideTolerance {
        /// How far from now a timestamp may lie.
        tolerance: Duration,
    },
}

/// Verifies one delivery; `headers` are the values of every `Stripe-Signature` header that came with it.
///
/// Each `v1` is tried with each secret, and the age is judged only after that: who cannot sign learns nothing about
/// the clock. Ages are whole seconds, as Stripe writes them; no tolerance switches the check off.
pub fn verify(
    headers: &[&[u8]],
    body: &[u8],
    secrets: &SigningSecrets,
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), SignatureError> {
    let header = match headers {
        [] => return Err(SignatureError::NoHeader),
        [header] => header.trim_ascii(),
        _ => return Err(SignatureError::RepeatedHeader),
    };
    if header.is_empty() {
        return Err(SignatureError::NoHeader);
    }
    let header = Header::parse(header)?;
    if !header.matches(body, secrets) {
        return Err(SignatureError::NoMatch);
    }
    let age = Duration::from_secs(now.seconds().abs_diff(header.seconds));
    if age > tolerance {
        return Err(SignatureError::OutsideTolerance { tolerance });
    }
    Ok(())
}

/// The header value for `body`, as Stripe would send it at `timestamp`: `billhook send`, the demo and tests.
pub fn sign(secret: &SecretString, timestamp: Timestamp, body: &[u8]) -> String {
    let seconds = timestamp.seconds().to_string();
    let signature = hex::encode(mac(secret, seconds.as_bytes(), body));
    format!("t={seconds},v1={signature}")
}

/// A header whose timestamp and signatures could be read.
struct Header<'a> {
    /// The timestamp as it was written, and so as it was signed.
    written: &'a [u8],
    seconds: i64,
    signatures: Vec<[u8; MAC_BYTES]>,
}

impl<'a> Header<'a> {
    /// Costs no HMAC, whatever the header holds.
    fn parse(header: &'a [u8]) -> Result<Self, SignatureError> {
        if header.len() > MAX_HEADER_BYTES || header.split(|byte| *byte == b',').count() > MAX_PARTS
        {
            return Err(SignatureError::TooLarge);
        }
        let mut written = None;
        let mut any_v1 = false;
        let mut signatures = Vec::new();
        for part in header.split(|byte| *byte == b',') {
            let part = part.trim_ascii();
            if let Some(value) = part.strip_prefix(b"t=") {
                if written.replace(value).is_some() {
                    return Err(SignatureError::RepeatedTimestamp);
                }
            } else if let Some(value) = part.strip_prefix(b"v1=") {
                any_v1 = true;
                signatures.extend(signature(value));
            }
        }
        let written = written.ok_or(SignatureError::NoTimestamp)?;
        let seconds = seconds(written).ok_or(SignatureError::BadTimestamp)?;
        if !any_v1 {
            return Err(SignatureError::NoSignature);
        }
        Ok(Self {
            written,
            seconds,
            signatures,
        })
    }

    /// Compares everything with everything, so that the time taken does not tell which one was close.
    fn matches(&self, body: &[u8], secrets: &SigningSecrets) -> bool {
        if self.signatures.is_empty() {
            return false;
        }
        let mut found = Choice::from(0);
        for secret in &secrets.0 {
            let expected = mac(secret, self.written, body);
            for signature in &self.signatures {
                found |= expected.ct_eq(signature);
            }
        }
        found.into()
    }
}

/// A signature in lowercase hexadecimal; a value that is none matches nothing and is left out.
fn signature(value: &[u8]) -> Option<[u8; MAC_BYTES]> {
    if value.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut bytes = [0; MAC_BYTES];
    hex::decode_to_slice(value, &mut bytes).ok()?;
    Some(bytes)
}

/// Plain digits only: printed again, they would be the same bytes.
fn seconds(written: &[u8]) -> Option<i64> {
    let canonical = match written {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    canonical
        .then(|| std::str::from_utf8(written).ok()?.parse().ok())
        .flatten()
}

#[expect(
    clippy::expect_used,
    reason = "HMAC takes a key of any length; the type cannot say so"
)]
fn mac(secret: &SecretString, seconds: &[u8], body: &[u8]) -> [u8; MAC_BYTES] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(seconds);
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
