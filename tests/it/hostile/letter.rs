//! A mail as its reader's program takes it apart, written for this suite and sharing nothing with what made it.

use super::marks::from_base64;

/// A mail, decoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Letter {
    /// Name and decoded value, in order.
    pub(super) headers: Vec<(String, String)>,
    /// Content type and decoded text of each part.
    pub(super) parts: Vec<(String, String)>,
}

impl Letter {
    pub(super) fn read(bytes: &str) -> Self {
        let (headers, body) = split(bytes);
        let mut letter = Self {
            headers,
            parts: Vec::new(),
        };
        letter.take_parts(&letter.headers.clone(), &body);
        letter
    }

    /// The values of every header of that name.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let found = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// Every address that it goes to, by any header.
    pub(super) fn recipients(&self) -> Vec<String> {
        [
            "to",
            "cc",
            "bcc",
            "resent-to",
            "resent-cc",
            "resent-bcc",
            "apparently-to",
        ]
        .iter()
        .flat_map(|name| self.all(name))
        .flat_map(|value| value.split([',', ';']))
        .map(|one| match one.rsplit_once('<') {
            Some((_, address)) => address.trim_end_matches(['>', ' ']).to_owned(),
            None => one.trim().to_owned(),
        })
        .collect()
    }

    fn take_parts(&mut self, headers: &[(String, String)], body: &str) {
        let value = |name: &str| {
            let found = headers
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map_or("", |(_, value)| value.as_str())
        };
        let kind = value("content-type");
        if let Some((_, rest)) = kind.split_once("boundary=") {
            let boundary = rest.split(';').next().unwrap().trim().trim_matches('"');
            let line = format!("--{boundary}");
            let inside = body.split(&line).skip(1);
            for part in inside.filter(|part| !part.starts_with("--")) {
                let (headers, body) = split(part.trim_start_matches("\r\n"));
                self.take_parts(&headers, &body);
            }
            return;
        }
        let text = match value("content-transfer-encoding")
            .to_ascii_lowercase()
            .as_str()
        {
            "base64" => String::from_utf8_lossy(&from_base64(body)).into_owned(),
            "quoted-printable" => String::from_utf8_lossy(&unquoted(body, false)).into_owned(),
            _ => body.to_owned(),
        };
        self.parts.push((kind.to_owned(), text));
    }
}

/// Headers, folded lines joined and words decoded, and what follows the empty line.
fn split(message: &str) -> (Vec<(String, String)>, String) {
    let (head, body) = message.split_once("\r\n\r\n").unwrap_or((message, ""));
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let headers = unfolded.split("\r\n").map(|line| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (name.trim().to_owned(), words(value.trim()))
    });
    (headers.collect(), body.to_owned())
}

/// Encoded words (RFC 2047) as they read.
fn words(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("=?") {
        let mut fields = after.splitn(4, '?');
        let (Some(_), Some(way), Some(text), Some(end)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            break;
        };
        let Some(next) = end.strip_prefix('=') else {
            break;
        };
        // Blanks between two such words are none.
        if !before.trim().is_empty() {
            out.push_str(before);
        }
        let bytes = if way.eq_ignore_ascii_case("b") {
            from_base64(text)
        } else {
            unquoted(text, true)
        };
        out.push_str(&String::from_utf8_lossy(&bytes));
        rest = next;
    }
    out.push_str(rest);
    out
}

fn unquoted(text: &str, in_header: bool) -> Vec<u8> {
    let joined = text.replace("=\r\n", "");
    let mut out = Vec::new();
    let mut bytes = joined.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'=' => {
                let pair = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                let pair = std::str::from_utf8(&pair).unwrap();
                out.push(u8::from_str_radix(pair, 16).unwrap_or(b'?'));
            }
            b'_' if in_header => out.push(b' '),
            other => out.push(other),
        }
    }
    out
}

/// The words of an HTML part as they are seen, and every address that it names.
pub(super) fn seen(html: &str) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut addresses = Vec::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, next) = after.split_once('>').unwrap_or((after, ""));
        let lower = tag.to_ascii_lowercase();
        for attribute in ["href=", "src=", "action=", "background=", "url("] {
            for (at, _) in lower.match_indices(attribute) {
                let value = tag.split_at(at + attribute.len()).1;
                let value = value.trim_start_matches(['"', '\'']);
                let end = value.split(['"', '\'', ')']).next();
                addresses.push(unescaped(end.unwrap_or_default()));
            }
        }
        rest = if lower.starts_with("style") || lower.starts_with("script") {
            let name = if lower.starts_with("style") {
                "</style>"
            } else {
                "</script>"
            };
            next.split_once(name).map_or("", |(_, after)| after)
        } else {
            text.push(' ');
            next
        };
    }
    text.push_str(rest);
    (unescaped(&text), addresses)
}

/// Text of a page without its character references.
fn unescaped(text: &str) -> String {
    let signs = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#x2f;", "/"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    let plain = |text: String, (name, sign): (&str, &str)| text.replace(name, sign);
    signs.into_iter().fold(text.to_owned(), plain)
}

#[test]
fn a_letter_is_read_as_a_mail_program_reads_it() {
    let bytes = "Message-ID: <a@b>\r\nTo: =?utf-8?b?QWTDqA==?= <ada@customer.example>,\r\n eve@evil.example\r\nbcc: x@y.example\r\n\
        Subject: =?utf-8?q?Caf=C3=A9_one?= =?utf-8?b?IGFuZCB0d28=?=\r\nContent-Type: multipart/alternative;\r\n boundary=\"=_1\"\r\n\r\n\
        --=_1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nCaf=C3=A9 =E2=82=AC=\r\n9\r\n\
        --=_1\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+aGk8L2I+\r\n--=_1--\r\n";
    let letter = Letter::read(bytes);
    assert_eq!(
        letter.recipients(),
        ["ada@customer.example", "eve@evil.example", "x@y.example"]
    );
    assert_eq!(letter.all("Subject"), ["Café one and two"]);
    assert_eq!(letter.parts[0].1.trim(), "Café €9");
    assert_eq!(letter.parts[1].1, "<b>hi</b>");
    let (text, addresses) = seen(
        "<style>a{b:1}</style><p>Pay &lt;5</p><a href=\"https://a.example/?x&amp;y\">now</a><img src='z'>",
    );
    assert_eq!(
        text.split_whitespace().collect::<Vec<_>>(),
        ["Pay", "<5", "now"]
    );
    assert_eq!(addresses, ["https://a.example/?x&y", "z"]);
}
