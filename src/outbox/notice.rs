//! Notices to the business's own people: a Slack-compatible message, and the same as a mail.
//!
//! Pure. Notices are plain text everywhere: nobody is mentioned, nothing is unfurled, no markup is read, because a
//! model wrote the summary and a customer may have chosen a reference.

use billhook_tools::Priority;
use serde_json::{Value, json};

use super::message::clean;
use crate::guardrails::provenance::Fact;

/// Slack refuses a longer header.
const MAX_TITLE: usize = 150;
const MAX_SUMMARY: usize = 600;
const MAX_FIELD_NAME: usize = 60;
const MAX_FIELD: usize = 300;
/// Slack refuses more fields in one section.
const MAX_FIELDS: usize = 10;

/// What somebody in the business should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened, in a few words of ours.
    pub title: String,
    /// How soon to look.
    pub priority: Priority,
    /// One or two sentences.
    pub summary: String,
    /// Facts from the database: name and value, for example the amount.
    pub fields: Vec<(&'static str, Fact)>,
}

/// A notice as it will be sent, by whichever way the channel has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedNotice {
    /// The body for a Slack-compatible webhook.
    pub chat: Value,
    /// The subject, when it goes by mail.
    pub subject: String,
    /// The text, when it goes by mail or is shown on a screen.
    pub text: String,
}

/// Renders a notice. Overlong parts are cut and surplus fields are counted, never silently dropped.
pub fn render_notice(notice: &Notice) -> RenderedNotice {
    let title = match notice.priority {
        Priority::High => clean(&format!("High priority: {}", notice.title), MAX_TITLE),
        Priority::Normal => clean(&notice.title, MAX_TITLE),
    };
    let summary = clean(&notice.summary, MAX_SUMMARY);
    let mut fields: Vec<(String, String)> = notice
        .fields
        .iter()
        .map(|(name, value)| {
            (
                clean(name, MAX_FIELD_NAME),
                clean(value.as_str(), MAX_FIELD),
            )
        })
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .collect();
    if fields.len() > MAX_FIELDS {
        let surplus = fields.len() - (MAX_FIELDS - 1);
        fields.truncate(MAX_FIELDS - 1);
        fields.push((
            "More".to_owned(),
            format!("{surplus} more facts are in billhook"),
        ));
    }

    let mut text = format!("{title}\n");
    if !summary.is_empty() {
        text.extend(["\n", &summary, "\n"]);
    }
    if !fields.is_empty() {
        text.push('\n');
        for (name, value) in &fields {
            text.extend([name.as_str(), ": ", value, "\n"]);
        }
    }

    let mut blocks = vec![json!({ "type": "header", "text": plain(&title) })];
    if !summary.is_empty() {
        blocks.push(json!({ "type": "section", "text": plain(&summary) }));
    }
    if !fields.is_empty() {
        let fields: Vec<Value> = fields
            .iter()
            .map(|(name, value)| plain(&format!("{name}\n{value}")))
            .collect();
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    let chat = json!({
        "text": disarm(text.trim_end()),
        "mrkdwn": false,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    });
    RenderedNotice {
        chat,
        subject: title,
        text,
    }
}

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

/// The fallback text is read as markup by Slack and by servers that know no blocks: `<!channel>` and `@all` would wake
/// everybody. A full-width sign looks the same and means nothing.
fn disarm(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', "＠")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        Notice {
            title: "A payment failed".into(),
            priority: Priority::High,
            summary: "A large payment did not go through. A call may save it.".into(),
            fields: vec![
                ("Amount", Fact::business("€4,900.00")),
                ("Customer", Fact::id("cus_1").unwrap()),
            ],
        }
    }

    #[test]
    fn a_notice_is_plain_text_without_unfurling() {
        let rendered = render_notice(&notice());
        assert_eq!(rendered.subject, "High priority: A payment failed");
        insta::assert_snapshot!(rendered.text, @r"
        High priority: A payment failed

        A large payment did not go through. A call may save it.

        Amount: €4,900.00
        Customer: cus_1
        ");
        insta::assert_snapshot!(
            rendered.chat,
            @r#"{"text":"High priority: A payment failed\n\nA large payment did not go through. A call may save it.\n\nAmount: €4,900.00\nCustomer: cus_1","mrkdwn":false,"parse":"none","link_names":false,"unfurl_links":false,"unfurl_media":false,"blocks":[{"type":"header","text":{"type":"plain_text","text":"High priority: A payment failed","emoji":false}},{"type":"section","text":{"type":"plain_text","text":"A large payment did not go through. A call may save it.","emoji":false}},{"type":"section","fields":[{"type":"plain_text","text":"Amount\n€4,900.00","emoji":false},{"type":"plain_text","text":"Customer\ncus_1","emoji":false}]}]}"#
        );
    }

    #[test]
    fn nobody_is_mentioned_and_no_markup_is_read() {
        let rendered = render_notice(&Notice {
            summary: "<!channel> @here <https://evil.example|click>\n*bold*".into(),
            fields: vec![("Name", Fact::business("<@U1>\r\n@all"))],
            ..notice()
        });
        let fallback = rendered.chat["text"].as_str().unwrap();
        assert!(!fallback.contains(['<', '>', '@']), "{fallback}");
        for block in rendered.chat["blocks"].as_array().unwrap() {
            let texts = block
                .get("text")
                .into_iter()
                .chain(block["fields"].as_array().into_iter().flatten());
            for text in texts {
                assert_eq!(text["type"], "plain_text");
                assert_eq!(text["emoji"], false);
            }
        }
        assert_eq!(
            rendered.chat["blocks"][2]["fields"][0]["text"],
            "Name\n<@U1> @all"
        );
    }

    #[test]
    fn long_parts_are_cut_and_surplus_fields_are_counted() {
        let rendered = render_notice(&Notice {
            title: "t".repeat(500),
            summary: "é".repeat(5000),
            fields: (0..14)
                .map(|_| ("field", Fact::business("v".repeat(1000))))
                .collect(),
            ..notice()
        });
        let blocks = &rendered.chat["blocks"];
        assert_eq!(
            blocks[0]["text"]["text"].as_str().unwrap().chars().count(),
            MAX_TITLE
        );
        assert_eq!(
            blocks[1]["text"]["text"].as_str().unwrap().chars().count(),
            MAX_SUMMARY
        );
        let fields = blocks[2]["fields"].as_array().unwrap();
        assert_eq!(fields.len(), MAX_FIELDS);
        assert_eq!(fields[9]["text"], "More\n5 more facts are in billhook");
    }

    #[test]
    fn an_empty_notice_still_has_a_title() {
        let rendered = render_notice(&Notice {
            summary: " ".into(),
            fields: vec![],
            ..notice()
        });
        assert_eq!(rendered.text, "High priority: A payment failed\n");
        assert_eq!(rendered.chat["blocks"].as_array().unwrap().len(), 1);
    }
}
