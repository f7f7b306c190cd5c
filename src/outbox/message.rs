//! The wire form of a mail, and the identity that lets a repeat be recognized.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentType, Date, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Message, address::Envelope};
use sha2::{Digest, Sha256};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::send::{OutgoingMail, SendError};
use crate::clock::Timestamp;

/// The Message-ID of the mail with this effect key, in angle brackets; none when `from` is no address.
///
/// It is the same on every attempt, so whoever receives a repeat can tell that it is one.
pub fn message_id(effect_key: &str, from: &str) -> Option<String> {
    let from: Mailbox = from.parse().ok()?;
    Some(format!(
        "<{}@{}>",
        hex::encode(Sha256::digest(effect_key.as_bytes())),
        from.email.domain()
    ))
}

/// The part of a Message-ID before the `@`, when it is safe as a file name.
pub(super) fn local_part(message_id: &str) -> Option<&str> {
    let inner = message_id
        .strip_prefix('<')
        .and_then(|id| id.strip_suffix('>'))
        .unwrap_or(message_id);
    let (local, domain) = inner.split_once('@')?;
    let safe = |text: &str| {
        !text.is_empty()
            && text.len() <= 128
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    (safe(local) && safe(domain) && !local.starts_with('.')).then_some(local)
}

/// Builds the message and its envelope. What is wrong with it will be wrong on every attempt.
pub(super) fn build(mail: &OutgoingMail, now: Timestamp) -> Result<(Envelope, Vec<u8>), SendError> {
    let from: Mailbox = mail
        .from
        .parse()
        .map_err(|_error| rejected("the sender is no valid address"))?;
    let to: Mailbox = mail
        .to
        .parse()
        .map_err(|_error| rejected("the recipient is no valid address"))?;
    if local_part(&mail.message_id).is_none() {
        return Err(rejected("the Message-ID is malformed"));
    }
    let bare = mail
        .message_id
        .trim_start_matches('<')
        .trim_end_matches('>');
    if mail.effect.is_empty() || !mail.effect.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(rejected("the effect key is malformed"));
    }
    if mail.subject.chars().any(char::is_control) {
        return Err(rejected("the subject has a control character"));
    }
    let envelope = Envelope::new(Some(from.email.clone()), vec![to.email.clone()])
        .map_err(|_error| rejected("the envelope is incomplete"))?;
    let date = UNIX_EPOCH + Duration::from_secs(u64::try_from(now.seconds()).unwrap_or(0));
    let mut builder = Message::builder()
        .message_id(Some(format!("<{bare}>")))
        .header(Date::from(date))
        .from(from)
        .to(to)
        .subject(mail.subject.clone())
        .raw_header(header("X-Billhook-Effect", &mail.effect))
        // RFC 3834: keeps out-of-office replies from answering a machine.
        .raw_header(header("Auto-Submitted", "auto-generated"));
    if let Some(reply_to) = &mail.reply_to {
        builder = builder.reply_to(
            reply_to
                .parse()
                .map_err(|_error| rejected("the reply address is no valid address"))?,
        );
    }
    let message = match &mail.html {
        None => builder.singlepart(part(ContentType::TEXT_PLAIN, &mail.text)),
        Some(html) => builder.multipart(
            // A boundary made from the Message-ID keeps repeats identical. `=_` cannot occur in an encoded part.
            MultiPart::alternative()
                .boundary(format!("=_{}", boundary(bare)))
                .singlepart(part(ContentType::TEXT_PLAIN, &mail.text))
                .singlepart(part(ContentType::TEXT_HTML, html)),
        ),
    }
    .map_err(|_error| rejected("the message cannot be built"))?;
    Ok((envelope, message.formatted()))
}

/// Line ends are made uniform here, because lettre takes quadratic time to do so.
fn part(content_type: ContentType, body: &str) -> SinglePart {
    let body = body.replace("\r\n", "\n").replace(['\r', '\n'], "\r\n");
    SinglePart::builder().header(content_type).body(body)
}

fn boundary(message_id: &str) -> String {
    hex::encode(Sha256::digest(message_id.as_bytes()))
        .chars()
        .take(32)
        .collect()
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn rejected(reason: &str) -> SendError {
    SendError::Rejected {
        reason: reason.to_owned(),
    }
}

/// One line of at most `most` characters: line breaks become spaces; control, bidi and invisible characters go.
pub(super) fn clean(text: &str, most: usize) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        // Spaces that belong to a number, such as the narrow no-break space, stay what they are.
        if c == ' ' || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            if !cleaned.ends_with(' ') {
                cleaned.push(' ');
            }
        } else if !matches!(
            c.general_category(),
            GeneralCategory::Format
                | GeneralCategory::Surrogate
                | GeneralCategory::PrivateUse
                | GeneralCategory::Unassigned
        ) {
            cleaned.push(c);
        }
    }
    let cleaned = cleaned.trim();
    if cleaned.chars().count() <= most {
        return cleaned.to_owned();
    }
    let mut cut: String = cleaned.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_stable_and_carries_the_senders_domain() {
        let id = message_id("key", "Acme <billing@acme.example>").unwrap();
        assert_eq!(
            id,
            "<2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683@acme.example>"
        );
        assert_eq!(message_id("key", "billing@acme.example").unwrap(), id);
        assert_ne!(message_id("other", "billing@acme.example").unwrap(), id);
        assert_eq!(message_id("key", "nobody"), None);
    }

    #[test]
    fn only_safe_local_parts_become_file_names() {
        assert_eq!(local_part("<abc@d.e>"), Some("abc"));
        assert_eq!(local_part("abc@d.e"), Some("abc"));
        for id in [
            "<../x@d.e>",
            "<a/b@d>",
            "<@d>",
            "<a>",
            "<a b@d>",
            "<.@d>",
            "<a@d>\r\nBcc: x@y>",
            "<a@>",
        ] {
            assert_eq!(local_part(id), None, "{id}");
        }
    }

    #[test]
    fn values_become_one_clean_line() {
        assert_eq!(clean(" a\r\nb\tc\u{202e}\u{200b}d ", 50), "a b cd");
        assert_eq!(
            clean("1\u{202f}234,50\u{a0}€", 50),
            "1\u{202f}234,50\u{a0}€"
        );
        assert_eq!(clean("ééééé", 3), "éé…");
        assert_eq!(clean("\u{e0041}\u{feff}", 3), "");
    }
}
