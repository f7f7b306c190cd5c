//! What a follow-up's mode adds to its story: where a model that was watched would have done otherwise than the rules,
//! and what waits for a person's word.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::output::clean;
use crate::store::{ApprovalRecord, ToolCallRecord};

/// What the model proposed and what the rules did, by the key of the effect.
type Proposals<'a> = BTreeMap<&'a str, &'a ToolCallRecord>;

/// How a shadow compares with the rules, in lines, by what the run's usage says of it; none where no model was watched.
pub(super) fn shadow(usage: &Value, calls: &[ToolCallRecord]) -> Vec<String> {
    let Some(told) = usage.get("shadow").filter(|told| told.is_object()) else {
        return Vec::new();
    };
    let text = |field: &str| told.get(field).and_then(Value::as_str);
    let model = clean(text("model").unwrap_or("a model"));
    if let Some(reason) = text("reason") {
        return vec![format!(
            "in shadow {model} came to no end: {}",
            clean(reason)
        )];
    }
    let proposed = |shadow: bool| -> Proposals<'_> {
        let of = calls.iter().filter(|call| call.shadow == shadow);
        let keys = of.filter_map(|call| {
            let key = call.effect_key.as_deref()?;
            (call.verdict != "refused").then(|| (key.trim_start_matches("shadow:"), call))
        });
        // Of several with one key the first stands.
        keys.rev().collect()
    };
    let (model_would, rules_did) = (proposed(true), proposed(false));
    let mut lines = vec![if model_would.keys().eq(rules_did.keys()) {
        format!("in shadow {model} would have done the same as the rules")
    } else {
        format!("in shadow {model} would have done otherwise than the rules:")
    }];
    for (key, call) in &model_would {
        match rules_did.get(key) {
            None => lines.push(format!("  only the model: {}", said(call))),
            Some(rules) if rules.arguments != call.arguments => {
                lines.push(format!("  both, in other words: {}", said(call)));
            }
            Some(_) => {}
        }
    }
    for (key, call) in &rules_did {
        if !model_would.contains_key(key) {
            lines.push(format!("  only the rules: {}", said(call)));
        }
    }
    lines
}

fn said(call: &ToolCallRecord) -> String {
    format!("{} {}", clean(&call.tool), super::plain(&call.arguments))
}

/// What was held, in a line.
pub(super) fn held(approval: &ApprovalRecord) -> String {
    let why = approval.waits_for.as_ref().or(approval.reason.as_ref());
    let parts = [Some(approval.status.clone()), why.map(|why| clean(why))];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!(
        "approval {} to {}: {}",
        clean(&approval.id),
        clean(&approval.what),
        parts.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(tool: &str, shadow: bool, text: &str) -> ToolCallRecord {
        let prefix = if shadow { "shadow:" } else { "" };
        ToolCallRecord {
            object: "tool_call",
            id: "call_1".to_owned(),
            run: "run_1".to_owned(),
            event: "evt_1".to_owned(),
            tool: tool.to_owned(),
            arguments: json!({ "body": text }),
            by: if shadow { "model" } else { "rules" }.to_owned(),
            shadow,
            verdict: "allowed".to_owned(),
            rule: None,
            reason: None,
            effect: None,
            effect_key: Some(format!("{prefix}key_{tool}")),
            result: json!({}),
            at: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn a_shadow_is_told_apart_from_the_rules_by_what_it_would_do() {
        let usage =
            json!({ "shadow": { "model": "m\u{1b}1", "outcome": "differs", "reason": null } });
        let mut refused = call("schedule_winback", true, "no");
        refused.verdict = "refused".to_owned();
        let calls = [
            call("send_email", true, "first"),
            call("send_email", true, "second"),
            call("update_order", true, "hold"),
            refused,
            call("send_email", false, "by rule"),
            call("notify_sales", false, "by rule"),
        ];
        assert_eq!(
            shadow(&usage, &calls),
            [
                "in shadow m1 would have done otherwise than the rules:",
                r#"  both, in other words: send_email {"body":"first"}"#,
                r#"  only the model: update_order {"body":"hold"}"#,
                r#"  only the rules: notify_sales {"body":"by rule"}"#,
            ]
        );
        let same = [
            call("send_email", true, "a"),
            call("send_email", false, "a"),
        ];
        assert_eq!(
            shadow(&usage, &same),
            ["in shadow m1 would have done the same as the rules"]
        );
        let away = json!({ "shadow": { "model": "m", "outcome": "no_answer", "reason": "503" } });
        assert_eq!(shadow(&away, &[]), ["in shadow m came to no end: 503"]);
        assert!(shadow(&json!({ "turns": 1 }), &calls).is_empty());
    }
}
