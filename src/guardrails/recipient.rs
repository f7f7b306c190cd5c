//! Whose mailbox an address is, as caps compare it: two spellings that reach one person are one recipient.
//!
//! Only what holds at every mail server is taken as the same. That some providers ignore dots is theirs to know: taken
//! for a rule, it would let one person's mails count against another's.

use unicode_normalization::UnicodeNormalization;

/// Whether a mail server could take a text for an address.
pub fn is_address(text: &str) -> bool {
    text.parse::<lettre::Address>().is_ok()
}

/// An address in the form that caps count by. It is compared and never written to.
///
/// Case makes no other person, nor does a `+tag`, nor how Unicode or a domain is spelled (`müller.example` and
/// `xn--mller-kva.example` are one), nor the dot that ends a full domain name, nor quotes around what needs none.
pub fn recipient_key(address: &str) -> String {
    let address: String = address.trim().nfkc().flat_map(char::to_lowercase).collect();
    let Some((local, domain)) = address.rsplit_once('@') else {
        return address;
    };
    let unquoted = unquoted(local);
    let local = unquoted.as_deref().unwrap_or(local);
    let untagged = match local.split_once('+') {
        // What must be quoted is a name as it stands, and `+tag@` is no tag of anybody.
        Some((name, _)) if !name.is_empty() && !local.starts_with('"') => name,
        _ => local,
    };
    let domain = domain.trim_end_matches('.');
    let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned());
    format!("{untagged}@{domain}")
}

/// What stands in the quotes of a local part that says the same without them (RFC 5321, 4.1.2).
fn unquoted(local: &str) -> Option<String> {
    let inner = local.strip_prefix('"')?.strip_suffix('"')?;
    let mut escaped = false;
    let plain: String = inner
        .chars()
        .filter(|c| {
            let stays = escaped || *c != '\\';
            escaped = !stays;
            stays
        })
        .collect();
    let is_atom = |part: &str| {
        let mut characters = part.chars();
        !part.is_empty()
            && characters.all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c))
    };
    plain.split('.').all(is_atom).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::recipient_key;

    #[test]
    fn spellings_of_one_mailbox_are_one_recipient() {
        for (address, key) in [
            ("Ada@Example.com", "ada@example.com"),
            ("ada+shop@example.com", "ada@example.com"),
            ("ada+shop+more@example.com", "ada@example.com"),
            (" ada@example.com\n", "ada@example.com"),
            ("ada@example.com.", "ada@example.com"),
            ("ＡＤＡ@example.com", "ada@example.com"),
            ("ada@MÜLLER.example", "ada@xn--mller-kva.example"),
            ("ada@xn--mller-kva.example", "ada@xn--mller-kva.example"),
            ("ada@mu\u{308}ller.example", "ada@xn--mller-kva.example"),
            ("Zoë@example.com", "zoë@example.com"),
            ("zoe\u{308}@example.com", "zoë@example.com"),
            ("\"Ada\"@example.com", "ada@example.com"),
            ("\"a\\da\"@example.com", "ada@example.com"),
            ("\"ada+shop\"@example.com", "ada@example.com"),
        ] {
            assert_eq!(recipient_key(address), key, "{address}");
        }
    }

    #[test]
    fn other_mailboxes_stay_others() {
        for (address, key) in [
            ("a.da@example.com", "a.da@example.com"),
            ("+shop@example.com", "+shop@example.com"),
            ("\"ada b\"@example.com", "\"ada b\"@example.com"),
            ("\"ada.\"@example.com", "\"ada.\"@example.com"),
            ("ada@sub.example.com", "ada@sub.example.com"),
            ("ada@[192.0.2.1]", "ada@[192.0.2.1]"),
            ("\"a@b\"@example.com", "\"a@b\"@example.com"),
            ("no-at-sign", "no-at-sign"),
            ("", ""),
        ] {
            assert_eq!(recipient_key(address), key, "{address}");
        }
    }

    #[test]
    fn a_key_is_its_own_key() {
        for address in [
            "Ada+x@MÜLLER.example.",
            "a@b.",
            "+@x",
            "ǅ@example.com",
            "\"a\\\"b\"@x",
            "\"\\\"a\\\"\"@x",
        ] {
            let key = recipient_key(address);
            assert_eq!(recipient_key(&key), key, "{address}");
        }
    }
}
