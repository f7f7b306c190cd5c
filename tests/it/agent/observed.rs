//! What a run tells those who watch: spans in a receiver of ours, metrics, and nothing of what was said.
//!
//! Over 400 lines because everything that may be told, and all that must not be, is read off one conversation.

use std::collections::BTreeSet;
use std::sync::Arc;

use billhook::agent::openai::OpenAi;
use billhook::clock::{ManualClock, Timestamp};
use billhook::config::Config;
use billhook::telemetry::spans::{LONGEST_CONTENT, SEMCONV_VERSION};
use billhook::telemetry::{Traces, metrics, subscriber};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::scene::{LED, kind_mail, play, refusals};
use crate::support::app::{START, environment};
use crate::support::log::Log;
use crate::support::model_server::{Answer, ModelServer, completion, events};
use crate::support::otlp::{OtlpServer, Received};

/// What a model wrote, and nobody is to find anywhere.
const ARGUMENT: &str = "planted-in-an-argument";
const REASONING: &str = "planted-in-an-answer";

/// What was seen of one run.
struct Seen {
    receiver: OtlpServer,
    server: ModelServer,
    log: Log,
    refused: Vec<String>,
}

fn calls(calls: &[(&str, &str)]) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .enumerate()
        .map(|(at, (name, arguments))| {
            let function = json!({ "name": name, "arguments": arguments });
            json!({ "id": format!("call_{at}_{}", name.len()), "type": "function", "function": function })
        })
        .collect();
    let message = json!({ "content": REASONING, "tool_calls": calls });
    completion(&message, &json!("tool_calls"))
}

/// A server that fails once, and a model that reads, errs, writes and is done.
fn conversation(_body: &Value, before: usize) -> Answer {
    let planted = json!({ "subject": ARGUMENT, "body": "https://planted.example" }).to_string();
    let notice = json!({ "priority": "high", "summary": "A call may help." }).to_string();
    let answer = match before {
        0 => {
            return Answer::Raw(
                503,
                Vec::new(),
                "<html>planted-in-an-error</html>".to_owned(),
            );
        }
        1 => calls(&[
            ("get_payment_history", r#"{"limit":10}"#),
            ("Dear Ada, planted", "{}"),
            ("send_email", &planted),
        ]),
        2 => {
            let (kind, mut other) = (kind_mail().arguments, kind_mail().arguments);
            other = other.replace("A small hiccup", "A little hiccup");
            calls(&[
                ("send_email", &kind),
                ("notify_sales", &notice),
                ("send_email", &other),
            ])
        }
        _ => completion(&json!({ "content": REASONING }), &json!("stop")),
    };
    Answer::Events(events(&answer))
}

/// A failed payment, decided by a model at a server of ours, with everything told to a receiver of ours.
async fn watched(settings: &[(&str, &str)]) -> Seen {
    metrics().unwrap();
    let (receiver, server) = (
        OtlpServer::start().await,
        ModelServer::start(conversation).await,
    );
    let ours = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()),
        ("OPENAI_BASE_URL", server.url()),
        ("OPENAI_MODEL", "test-model"),
        ("BILLHOOK__MODEL__PROFILE__STREAM", "true"),
        ("RUST_LOG", "billhook=trace"),
    ];
    let config = Config::from_layers(None, &environment(ours.iter().chain(settings))).unwrap();
    let traces = Traces::start(&config.telemetry).unwrap().unwrap();
    let log = Log::default();
    let listening = subscriber(&config.telemetry, false, log.clone(), Some(&traces)).unwrap();
    // Everything of the app runs on this thread.
    let listening = tracing::subscriber::set_default(listening);
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(START)));
    let model = Arc::new(OpenAi::new(&config.model, clock).unwrap().unwrap());
    let app = play("payment_failed", model).await;
    assert_eq!(app.mails().len(), 1);
    drop(listening);
    traces.finish().await;
    Seen {
        receiver,
        server,
        log,
        refused: refusals(&app).await,
    }
}

/// A span as its name, kind and status, what it stands below, and the names of what it holds.
fn shape(spans: &[Received], span: &Received) -> String {
    let above = OtlpServer::parent_of(spans, span).unwrap_or_else(|| "-".to_owned());
    let keys: Vec<&str> = span.attributes.keys().map(String::as_str).collect();
    format!(
        "{} ({}, {}) below {above}\n    {}",
        span.name,
        span.kind,
        span.status,
        keys.join("\n    ")
    )
}

#[tokio::test]
async fn the_names_of_spans_are_those_of_the_conventions() {
    let seen = watched(&[]).await;
    let spans = seen.receiver.spans();
    let shapes: BTreeSet<String> = spans.iter().map(|span| shape(&spans, span)).collect();
    let shapes: Vec<String> = shapes.into_iter().collect();
    assert_snapshot!("span_names", shapes.join("\n"));

    // One tree: whoever decides stands below the workflow, and all that was asked and called below whoever decides.
    let named =
        |name: &str| -> Vec<&Received> { spans.iter().filter(|span| span.name == name).collect() };
    let [workflow] = named("invoke_workflow billhook.event")[..] else {
        panic!("{shapes:#?}");
    };
    assert_eq!(workflow.get("billhook.run.status"), Some("done"));
    let run = workflow.get("billhook.run.id").unwrap();
    let [agent] = named("invoke_agent payment_failed")[..] else {
        panic!("{shapes:#?}");
    };
    assert_eq!(agent.get("gen_ai.conversation.id"), Some(run));
    assert_eq!(agent.get("billhook.event.id"), Some("evt_1"));
    assert_eq!(agent.get("gen_ai.usage.input_tokens"), Some("int 2700"));

    let chats = named("chat test-model");
    assert_eq!(chats.len(), 4, "{shapes:#?}");
    let errors: Vec<_> = chats
        .iter()
        .map(|chat| (chat.status, chat.get("error.type")))
        .collect();
    assert_eq!(errors[0], ("error", Some("503")));
    assert_eq!(errors[1..], [("unset", None); 3]);
    assert_eq!(chats[1].get("gen_ai.usage.input_tokens"), Some("int 900"));
    assert_eq!(
        chats[1].get("gen_ai.response.finish_reasons"),
        Some("list tool_calls")
    );
    assert_eq!(chats[1].get("gen_ai.response.id"), Some("chatcmpl-1"));
    assert_eq!(chats[1].get("gen_ai.response.model"), Some("test-model"));
    let port = format!(
        "int {}",
        seen.server.url().rsplit([':', '/']).nth(1).unwrap()
    );
    assert_eq!(chats[1].get("server.port"), Some(port.as_str()));

    let tools: Vec<_> = spans
        .iter()
        .filter(|span| span.name.starts_with("execute_tool"))
        .map(|span| {
            let text = |key| span.get(key).unwrap_or("-");
            let steps = text("billhook.step.seq");
            let told = [
                "billhook.guard.decision",
                "billhook.guard.rule",
                "billhook.effect.duplicate",
            ];
            let told = told.map(text).join(" ");
            format!("{} {steps} {told}", span.name)
        })
        .collect();
    assert_eq!(
        tools,
        [
            "execute_tool get_payment_history int 1 allowed - -",
            "execute_tool unknown int 2 refused tool_not_offered -",
            "execute_tool send_email int 3 refused url -",
            "execute_tool send_email int 5 allowed - bool false",
            "execute_tool notify_sales int 6 allowed - bool false",
            "execute_tool send_email int 7 allowed - bool true",
        ]
    );
    assert!(
        spans.iter().all(|span| span.events == 0),
        "what is logged is not exported"
    );

    let scope = &seen.receiver.requests()[0].resource_spans[0].scope_spans[0];
    assert!(
        scope.schema_url.ends_with(SEMCONV_VERSION),
        "{}",
        scope.schema_url
    );
    every_name_is_documented(&spans);
}

/// docs/observability.md has a row for each name.
fn every_name_is_documented(spans: &[Received]) {
    let page = include_str!("../../../docs/observability.md");
    for span in spans {
        let kind = span.name.split(' ').next().unwrap();
        assert!(
            page.contains(&format!("| `{kind}")),
            "no row for {}",
            span.name
        );
        for key in span.attributes.keys() {
            assert!(
                page.contains(&format!("`{key}`")),
                "{key} of {} is not there",
                span.name
            );
        }
    }
    assert!(page.contains(SEMCONV_VERSION));
}

/// Every text in a request to the model, with the place where it stands.
fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn no_word_of_what_is_asked_and_answered_stands_in_a_span_or_a_log() {
    let seen = watched(&[]).await;
    let refused: BTreeSet<&str> = seen.refused.iter().map(String::as_str).collect();
    assert_eq!(refused, BTreeSet::from(["tool_not_offered", "url"]));
    let (bytes, log) = (seen.receiver.bytes(), seen.log.text());
    for planted in [
        ARGUMENT,
        REASONING,
        "planted",
        "Dear Ada",
        "ada@example.com",
        "Lovelace",
    ] {
        assert!(!holds(&bytes, planted), "{planted} is in a span");
        assert!(!log.contains(planted), "{planted} is in the log: {log}");
    }
    // And of everything that was sent to the model, piece by piece: prompts, data, arguments, results, definitions.
    let mut sent = BTreeSet::new();
    for body in seen.server.asked() {
        texts(&body, &mut sent);
    }
    let pieces: BTreeSet<String> = sent
        .iter()
        .flat_map(|text| {
            let characters: Vec<char> = text.chars().collect();
            let pieces = characters.chunks_exact(24);
            pieces
                .map(|piece| piece.iter().collect())
                .collect::<Vec<String>>()
        })
        .collect();
    assert!(pieces.len() > 200, "{}", pieces.len());
    // A type of events is a name of Stripe's, and spans have it.
    let is_name = |piece: &str| "payment_intent.payment_failed".contains(piece);
    for piece in pieces.into_iter().filter(|piece| !is_name(piece)) {
        assert!(!holds(&bytes, &piece), "{piece} is in a span");
        assert!(!log.contains(&piece), "{piece} is in the log");
    }
}

#[tokio::test]
async fn content_is_shown_where_it_is_wanted_and_only_in_spans() {
    let switch = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";
    let seen = watched(&[(switch, "SPAN_ONLY")]).await;
    let spans = seen.receiver.spans();
    let all = |key: &str| -> String {
        let values = spans.iter().filter_map(|span| span.get(key));
        values.collect::<Vec<_>>().join("\n")
    };
    for (key, holds) in [
        ("gen_ai.tool.call.arguments", ARGUMENT),
        ("gen_ai.tool.call.result", "pi_old"),
        ("gen_ai.output.messages", REASONING),
        ("gen_ai.input.messages", "What is known stands between"),
        ("gen_ai.system_instructions", "\"type\":\"text\""),
        ("gen_ai.tool.definitions", "get_payment_history"),
    ] {
        let values = all(key);
        assert!(values.contains(holds), "{key}: {values}");
        assert!(!seen.log.text().contains(key));
    }
    for span in &spans {
        if let Some(messages) = span.get("gen_ai.input.messages") {
            let messages: Value = serde_json::from_str(messages).unwrap();
            let mut found = BTreeSet::new();
            texts(&messages, &mut found);
            assert!(found.iter().all(|text| text.len() <= LONGEST_CONTENT));
        }
        assert_ne!(span.name, "content");
    }
    assert!(!seen.log.text().contains(ARGUMENT));
}

#[tokio::test]
async fn the_names_of_metrics_are_those_of_the_conventions() {
    watched(&[]).await;
    let text = metrics().unwrap().render();
    let families = [
        "gen_ai_",
        "billhook_tool_calls_total",
        "billhook_journal_write_seconds",
        "billhook_model_breaker_open",
        "billhook_spans_total",
    ];
    let mut names = BTreeSet::new();
    let mut bounds = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if !families.iter().any(|family| line.starts_with(family)) {
            continue;
        }
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series
            .trim_end_matches('}')
            .split_once('{')
            .unwrap_or((series, ""));
        for label in labels.split("\",") {
            let (label, value) = label.split_once('=').unwrap_or_default();
            if label == "le" {
                bounds.insert(format!("{name} {}", value.trim_matches('"')));
            } else if !label.is_empty() {
                names.insert(format!("{name} {label}"));
            } else {
                names.insert(name.to_owned());
            }
        }
    }
    let names: Vec<String> = names.into_iter().collect();
    assert_snapshot!("metric_names", names.join("\n"));
    for bound in [
        "gen_ai_client_token_usage_bucket 67108864",
        "gen_ai_client_operation_duration_seconds_bucket 81.92",
        "gen_ai_client_operation_time_to_first_chunk_seconds_bucket 0.01",
    ] {
        assert!(bounds.contains(bound), "{bound} is not among {bounds:?}");
    }
    // What a model calls a tool is no label.
    assert!(text.contains("tool=\"unknown\"") && !text.contains("planted"));
}

#[tokio::test]
async fn the_rules_are_an_agent_without_a_chat() {
    for playbook in LED {
        let receiver = OtlpServer::start().await;
        let url = [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())];
        let config = Config::from_layers(None, &environment(&url)).unwrap();
        let traces = Traces::start(&config.telemetry).unwrap().unwrap();
        let log = Log::default();
        let listening = subscriber(&config.telemetry, false, log, Some(&traces)).unwrap();
        let listening = tracing::subscriber::set_default(listening);
        play(playbook, Arc::new(billhook::agent::rules::Rules)).await;
        drop(listening);
        traces.finish().await;
        let spans = receiver.spans();
        let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        let agent = format!("invoke_agent {playbook}");
        assert!(names.contains(agent.as_str()), "{names:?}");
        assert!(
            !names.iter().any(|name| name.starts_with("chat")),
            "{names:?}"
        );
        for personal in ["ada@example.com", "Lovelace"] {
            assert!(
                !holds(&receiver.bytes(), personal),
                "{playbook}: {personal}"
            );
        }
        every_name_is_documented(&spans);
    }
}

/// Whoever watches a series must find it while nothing went wrong, and before anybody asked.
#[test]
fn a_breaker_is_told_of_before_anybody_asks() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let told = recorder.handle();
    let ours = [
        ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
        ("OPENAI_MODEL", "m"),
    ];
    let config = Config::from_layers(None, &environment(&ours)).unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(START)));
    ::metrics::with_local_recorder(&recorder, || {
        OpenAi::new(&config.model, clock).unwrap().unwrap();
    });
    let told = told.render();
    assert!(
        told.contains("billhook_model_breaker_open{endpoint=\"first\"} 0"),
        "{told}"
    );
}
