//! What docs/observability.md promises is what the source does: every metric, with its labels, and none besides.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Written by hand for `/metrics`, from a count of the store.
const COUNTED: &str = "src/http/health.rs";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The text up to the parenthesis that closes the one before it.
fn call(text: &str) -> &str {
    let mut depth = 1;
    let end = text.find(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    text.split_at(end.unwrap()).0
}

/// Every metric that a macro names in place, with its labels.
fn in_the_source() -> BTreeMap<String, BTreeSet<String>> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for kind in ["counter!(", "gauge!(", "histogram!("] {
            for (at, _) in text.match_indices(kind) {
                let call = call(text.split_at(at + kind.len()).1);
                let mut quoted = call.split('"').skip(1).step_by(2);
                let Some(name) = quoted.next().filter(|name| name.starts_with("billhook_")) else {
                    continue;
                };
                let parts: Vec<&str> = call.split("=>").map(str::trim_end).collect();
                // A label stands before each arrow.
                let labels = parts.iter().take(parts.len() - 1).map(|before| {
                    let (_, label) = before.strip_suffix('"').unwrap().rsplit_once('"').unwrap();
                    label.to_owned()
                });
                metrics.entry(name.to_owned()).or_default().extend(labels);
            }
        }
        // And every one that is written line by line: the name, and in braces the label, or a place for the number.
        for (at, _) in text.match_indices("billhook_") {
            let line = text.split_at(at).1;
            let end = line.find(|c: char| !(c.is_ascii_lowercase() || c == '_'));
            let (name, rest) = line.split_at(end.unwrap());
            let label = rest
                .strip_prefix("{{")
                .and_then(|rest| rest.split_once('='));
            if label.is_some() || rest.starts_with(" {}") {
                let labels = metrics.entry(name.to_owned()).or_default();
                labels.extend(label.map(|(label, _)| label.to_owned()));
            }
        }
        if file.ends_with(COUNTED) {
            for (at, _) in text.match_indices("        \"billhook_") {
                let mut quoted = text.split_at(at).1.split('"').skip(1).step_by(2);
                let (name, _help, label) = (quoted.next(), quoted.next(), quoted.next());
                let labels = BTreeSet::from([label.unwrap().to_owned()]);
                metrics.insert(name.unwrap().to_owned(), labels);
            }
        }
    }
    metrics
}

/// Every row of the page that is one of ours: its name, and the labels in its second column.
fn on_the_page() -> BTreeMap<String, BTreeSet<String>> {
    let page = fs::read_to_string(root().join("docs/observability.md")).unwrap();
    page.lines()
        .filter_map(|row| {
            let columns: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, name, labels, ..] = columns[..] else {
                return None;
            };
            let name = name.strip_prefix('`')?.strip_suffix('`')?;
            let labels = labels.split('`').skip(1).step_by(2).map(str::to_owned);
            let is_metric = name.starts_with("billhook_") && !name.contains(['`', '{']);
            is_metric.then(|| (name.to_owned(), labels.collect()))
        })
        .collect()
}

#[test]
fn every_metric_of_ours_has_its_row_and_every_row_its_metric() {
    let (source, page) = (in_the_source(), on_the_page());
    assert!(source.len() > 25, "{source:#?}");
    assert_eq!(
        source, page,
        "left: the source; right: docs/observability.md"
    );
}
