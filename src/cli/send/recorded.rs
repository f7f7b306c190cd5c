//! Recorded events: found in files and folders, read, and moved in time as a whole.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::failure::Failure;
use crate::clock::Timestamp;
use crate::stripe::event::Event;

/// One recorded event.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Recorded {
    /// The event.
    pub(in crate::cli) value: Value,
    /// What is sent, every time the same.
    pub(in crate::cli) body: Vec<u8>,
}

/// Reads every event of every path; folders in the order of their names, with everything below them.
pub(super) fn read_all(paths: &[String]) -> Result<Vec<Recorded>, Failure> {
    let mut events = Vec::new();
    for path in paths {
        if path == "-" {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::Usage(format!("cannot read standard input: {error}")))?;
            events.extend(parse("standard input", &bytes)?);
            continue;
        }
        for file in files(Path::new(path))? {
            let bytes = std::fs::read(&file).map_err(|error| unreadable(&file, &error))?;
            events.extend(parse(&file.display().to_string(), &bytes)?);
        }
    }
    Ok(events)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("cannot read {}: {error}", path.display()))
}

/// The file itself, or the files of a folder. Links to folders are not followed: they may lead in a circle.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let kind = entry
                .file_type()
                .map_err(|error| unreadable(&entry.path(), &error))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "json" || extension == "jsonl")
            {
                found.push(entry.path());
            }
        }
    }
    if found.is_empty() {
        return Err(Failure::Usage(format!(
            "{} holds no *.json and no *.jsonl",
            path.display()
        )));
    }
    found.sort();
    Ok(found)
}

/// Reads one JSON event, several one after the other (as in JSON lines), an array of them, or a list of Stripe's API.
pub(in crate::cli) fn parse(name: &str, bytes: &[u8]) -> Result<Vec<Recorded>, Failure> {
    let mut events = Vec::new();
    let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    loop {
        let from = stream.byte_offset();
        let Some(value) = stream.next() else { break };
        let rest = bytes.get(from..).unwrap_or_default();
        let blank = rest.len() - rest.trim_ascii_start().len();
        let line = 1 + newlines(bytes.get(..from + blank).unwrap_or_default());
        let value = value.map_err(|error| {
            Failure::Usage(format!(
                "{name}:{}: this is no JSON: {error}; mend the file or leave it out",
                error.line()
            ))
        })?;
        let written = bytes
            .get(from + blank..stream.byte_offset())
            .unwrap_or_default()
            .trim_ascii();
        match several(value) {
            Ok(values) => {
                for value in values {
                    let body = value.to_string().into_bytes();
                    events.push(checked(name, line, value, body)?);
                }
            }
            Err(value) => events.push(checked(name, line, value, written.to_vec())?),
        }
    }
    if events.is_empty() {
        return Err(Failure::Usage(format!("{name} holds no event")));
    }
    Ok(events)
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count().saturating_sub(1)
}

/// The items of an array or of one of Stripe's lists; anything else is given back.
fn several(value: Value) -> Result<Vec<Value>, Value> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Object(mut fields)
            if fields.get("object").and_then(Value::as_str) == Some("list")
                && fields.get("data").is_some_and(Value::is_array) =>
        {
            match fields.remove("data") {
                Some(Value::Array(values)) => Ok(values),
                _ => Err(Value::Object(fields)),
            }
        }
        value => Err(value),
    }
}

fn checked(name: &str, line: usize, value: Value, body: Vec<u8>) -> Result<Recorded, Failure> {
    match Event::parse(&body, Timestamp::default()) {
        Ok(_) => Ok(Recorded { value, body }),
        Err(error) => Err(Failure::Usage(format!("{name}:{line}: {error}"))),
    }
}

/// Moves every event's `created` by one constant, so that the newest is `now` and the gaps stay.
pub(super) fn shift_to(events: &mut [Recorded], now: Timestamp) {
    let Some(by) = distance(events, now) else {
        return;
    };
    for event in events {
        if let Some(created) = event.value.get_mut("created") {
            move_time(created, by);
        }
        event.body = event.value.to_string().into_bytes();
    }
}

/// How many seconds lie between the newest event and `now`; nothing where no event says when it was created.
pub(in crate::cli) fn distance(events: &[Recorded], now: Timestamp) -> Option<i64> {
    let newest = events
        .iter()
        .filter_map(|event| seconds(event.value.get("created")?))
        .max()?;
    now.seconds().checked_sub(newest)
}

fn seconds(created: &Value) -> Option<i64> {
    created.as_i64().or_else(|| {
        let moment: jiff::Timestamp = created.as_str()?.parse().ok()?;
        Some(moment.as_second())
    })
}

fn move_time(created: &mut Value, by: i64) {
    if let Some(moved) = created.as_i64().and_then(|at| at.checked_add(by)) {
        *created = moved.into();
    } else if let Some(text) = created.as_str()
        && let Ok(moment) = text.parse::<jiff::Timestamp>()
        && let Ok(moved) = moment.checked_add(jiff::SignedDuration::from_secs(by))
    {
        // Thin events write their time as text.
        *created = moved.to_string().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] =
        b"{\"id\":\"evt_1\",\"type\":\"a\",\"created\":100, \"data\":{\"object\":{\"created\":90}}}\n\n\
          {\"id\":\"evt_2\",\"type\":\"b\",\"created\":160}\n";

    fn texts(events: &[Recorded]) -> Vec<&str> {
        events
            .iter()
            .map(|event| std::str::from_utf8(&event.body).unwrap())
            .collect()
    }

    #[test]
    fn the_newest_becomes_now_and_the_gaps_stay() {
        let mut events = parse("x", TWO).unwrap();
        shift_to(&mut events, Timestamp(1_000_900_000));
        assert_eq!(
            texts(&events),
            [
                r#"{"id":"evt_1","type":"a","created":940,"data":{"object":{"created":90}}}"#,
                r#"{"id":"evt_2","type":"b","created":1000}"#,
            ]
        );
    }

    #[test]
    fn times_written_as_text_move_along() {
        let events = b"{\"id\":\"evt_1\",\"type\":\"v2.x\",\"created\":\"1970-01-01T00:00:10.5Z\"}";
        let mut events = parse("x", events).unwrap();
        shift_to(&mut events, Timestamp::from_seconds(70));
        assert_eq!(
            events[0].value["created"],
            serde_json::json!("1970-01-01T00:01:10.5Z")
        );
    }

    #[test]
    fn without_a_shift_the_bytes_are_those_of_the_file() {
        let events = parse("x", TWO).unwrap();
        assert!(texts(&events)[0].contains("\"created\":100, \"data\""));
        assert_eq!(events.len(), 2);
    }

    #[test]
    fn arrays_and_stripes_lists_are_read() {
        for text in [
            r#"[{"id":"evt_1","type":"a"},{"id":"evt_2","type":"b"}]"#,
            r#"{"object":"list","data":[{"id":"evt_1","type":"a"},{"id":"evt_2","type":"b"}]}"#,
        ] {
            assert_eq!(parse("x", text.as_bytes()).unwrap().len(), 2, "{text}");
        }
    }

    #[test]
    fn a_bad_event_is_named_by_file_and_line() {
        let broken = [TWO, b"{\"id\":\"evt_3\"}"].concat();
        let error = parse("events.jsonl", &broken).unwrap_err().to_string();
        assert_eq!(
            error,
            "events.jsonl:4: the event has no `type`: it must be a string that is not empty"
        );
        let error = parse(
            "events.jsonl",
            b"{\"id\":\"evt_1\",\"type\":\"a\"}\n{\"id\":\n",
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.starts_with("events.jsonl:3: this is no JSON"),
            "{error}"
        );
        assert!(parse("empty", b" \n").is_err());
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_names_with_all_below() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for (name, id) in [
            ("c.jsonl", "evt_3"),
            ("b/x.json", "evt_2"),
            ("a.json", "evt_1"),
            ("notes.txt", "none"),
        ] {
            let text = format!("{{\"id\":\"{id}\",\"type\":\"a\"}}");
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let events = read_all(&[folder.path().display().to_string()]).unwrap();
        let ids: Vec<_> = events.iter().map(|event| &event.value["id"]).collect();
        assert_eq!(ids, ["evt_1", "evt_2", "evt_3"]);
        assert!(read_all(&[folder.path().join("missing").display().to_string()]).is_err());
    }
}
