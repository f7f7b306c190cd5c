//! What must hold of the source itself: who may import whom, what a model's tools may depend on, no forgotten file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Crates without input or output of their own. Adding one here means having looked.
const TOOLS_MAY_DEPEND_ON: [&str; 7] = [
    "futures",
    "hex",
    "schemars",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
];

/// Doors of the standard library that need no dependency.
const CLOSED_TO_TOOLS: [&str; 6] = ["net", "fs", "process", "env", "os", "io"];

const MOST_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files under a folder of the repository, sorted.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "no source under {folder}");
    files
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The text without lines that are comments: a doc link to another room is no import.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| {
        if line.trim_start().starts_with("//") {
            ""
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn leading_name(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    text.split_at(end).0
}

/// The first names after each `PREFIX::`, those of a braced group included.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let (before, rest) = code.split_at(at);
        // `::std::fs` starts a path, `other::std::fs` does not.
        let before = before
            .strip_suffix("::")
            .unwrap_or(before)
            .chars()
            .next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || "_:>".contains(c)) {
            continue;
        }
        let rest = rest.split_at(prefix.len()).1;
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(leading_name(rest).to_owned());
            continue;
        };
        let mut depth = 0;
        let mut expects_name = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expects_name = true,
                c if expects_name && (c.is_alphabetic() || c == '_') => {
                    names.insert(leading_name(group.split_at(at).1).to_owned());
                    expects_name = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// The room a file belongs to: the module directly under `src/`.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a piece of source reaches into; from `main.rs` the library is another crate.
fn uses(room: &str, code: &str, rooms: &BTreeSet<String>) -> BTreeSet<String> {
    let own = if room == "main" {
        "billhook::"
    } else {
        "crate::"
    };
    let mut used = names_after(code, own);
    if code.contains("billhook_tools") {
        used.insert("billhook_tools".to_owned());
    }
    used.retain(|name| rooms.contains(name));
    used
}

/// The table of ARCHITECTURE.md: what each room may use.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = read(&root().join("ARCHITECTURE.md"));
    let (_, section) = text
        .split_once("## Import direction\n")
        .expect("the section is there");
    let section = section.split("\n## ").next().unwrap();
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let mut table = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').collect();
        let names = quoted(cells[1]);
        assert_eq!(names.len(), 1, "one room a row: {line}");
        let before = table.insert(names[0].clone(), quoted(cells[2]).into_iter().collect());
        assert!(before.is_none(), "two rows for {}", names[0]);
    }
    table
}

#[test]
fn the_reader_of_imports_sees_every_notation() {
    let text = "
        //! [`crate::comment`] is no import.
        use crate::plain;
        use crate::{grouped, nested::{not_this, nor::this}, last as other};
        use crate::{
            over_lines::Thing,
            more,
        };
        fn f() -> crate::in_code::Type { macro_of_ours!($crate::quoted::x) }
        use other_crate::elsewhere; use some::crate::inner; use ::crate::rooted;
    ";
    let found: Vec<String> = names_after(&code(text), "crate::").into_iter().collect();
    assert_eq!(
        found,
        [
            "grouped",
            "in_code",
            "last",
            "more",
            "nested",
            "over_lines",
            "plain",
            "quoted",
            "rooted"
        ]
    );
}

#[test]
fn imports_go_the_ways_that_the_table_names() {
    let table = table();
    let rooms: BTreeSet<String> = table.keys().cloned().collect();
    let mut found = BTreeSet::new();
    let mut refused = Vec::new();
    for path in rust_files("src") {
        let room = room(&path);
        if room == "lib" {
            continue;
        }
        let Some(allowed) = table.get(&room) else {
            refused.push(format!("{}: `{room}` has no row", shown(&path)));
            continue;
        };
        for used in uses(&room, &code(&read(&path)), &rooms) {
            if used != room && !allowed.contains(&used) {
                refused.push(format!("{}: `{room}` may not use `{used}`", shown(&path)));
            }
            found.insert((room.clone(), used));
        }
    }
    assert!(
        refused.is_empty(),
        "arrows that ARCHITECTURE.md does not have:\n{}",
        refused.join("\n")
    );
    // The reader would also be content if it saw nothing.
    assert!(
        found.contains(&("guardrails".to_owned(), "stripe".to_owned())),
        "{found:?}"
    );
}

/// `super::` reaches the crate root from a file whose module is not deeper than the chain is long, past the table.
#[test]
fn nobody_climbs_into_another_room() {
    let rooms: BTreeSet<String> = table().into_keys().collect();
    for path in rust_files("src") {
        let inside = path.strip_prefix(root().join("src")).unwrap();
        let is_root_of_folder = inside.file_name().is_some_and(|name| name == "mod.rs");
        let depth = inside.iter().count() - usize::from(is_root_of_folder);
        let climb = "super::".repeat(depth);
        for name in names_after(&code(&read(&path)), &climb) {
            // A module inside the file is one deeper: `super::` there stays in the room.
            let own = path.with_extension("").join(format!("{name}.rs")).exists()
                || path.with_file_name(format!("{name}.rs")).exists() && is_root_of_folder;
            assert!(
                own || !rooms.contains(&name),
                "{}: write `crate::{name}` instead of climbing there",
                shown(&path)
            );
        }
    }
}

#[test]
fn the_table_has_no_circle() {
    let mut left = table();
    while !left.is_empty() {
        let rooms: BTreeSet<String> = left.keys().cloned().collect();
        for used in left.values().flatten() {
            assert!(table().contains_key(used), "`{used}` has no row");
        }
        left.retain(|_, uses| !uses.is_disjoint(&rooms));
        assert!(left.len() < rooms.len(), "a circle among {rooms:?}");
    }
}

#[test]
fn the_tools_depend_on_nothing_that_could_reach_the_world() {
    let manifest = read(&root().join("tools/Cargo.toml"));
    let mut section = "";
    let mut dependencies = 0;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            assert!(
                ["package", "lints", "dependencies", "dev-dependencies"].contains(&section),
                "tools/Cargo.toml: [{section}] could bring a dependency in by another door"
            );
        } else if section == "dependencies" && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap();
            assert!(
                TOOLS_MAY_DEPEND_ON.contains(&name),
                "tools/Cargo.toml: `{name}` is not among the crates that a tool may use"
            );
            assert!(
                !line.contains("package"),
                "tools/Cargo.toml: `{name}` hides its real name"
            );
            dependencies += 1;
        }
    }
    assert!(dependencies > 0, "the dependencies were not found");
}

#[test]
fn the_tools_open_no_door_of_the_standard_library() {
    for path in rust_files("tools/src") {
        if shown(&path).contains("tests") {
            continue;
        }
        let used = names_after(&code(&read(&path)), "std::");
        for door in CLOSED_TO_TOOLS {
            assert!(
                !used.contains(door),
                "{}: a tool may not use std::{door}",
                shown(&path)
            );
        }
    }
}

#[test]
fn no_file_is_forgotten_by_a_mod_line() {
    let roots = ["main.rs", "lib.rs"];
    let mut forgotten = Vec::new();
    for folder in ["src", "tools/src", "tests/it"] {
        for path in rust_files(folder) {
            let parent = path.parent().unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_top = parent == root().join(folder);
            if is_top && roots.contains(&name) {
                continue;
            }
            // A module's own folder is declared where the folder lies.
            let (stem, above) = if name == "mod.rs" {
                (
                    parent.file_name().unwrap().to_str().unwrap(),
                    parent.parent().unwrap(),
                )
            } else {
                (name.trim_end_matches(".rs"), parent)
            };
            let candidates = if above == root().join(folder) {
                roots.map(|root| above.join(root)).to_vec()
            } else {
                vec![above.join("mod.rs"), above.with_extension("rs")]
            };
            let by_name = candidates.iter().filter(|path| path.exists()).any(|path| {
                let line = format!("mod {stem};");
                code(&read(path))
                    .lines()
                    .any(|written| written.ends_with(&line))
            });
            let attribute = format!("#[path = \"{name}\"]");
            let by_path = rust_files(&shown(parent))
                .iter()
                .any(|path| read(path).contains(&attribute));
            if !by_name && !by_path {
                forgotten.push(format!("{}: no `mod {stem};` names it", shown(&path)));
            }
        }
    }
    assert!(forgotten.is_empty(), "{}", forgotten.join("\n"));
    let strays: Vec<_> = fs::read_dir(root().join("tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    assert!(
        strays.is_empty(),
        "one binary holds all tests, move into tests/it: {strays:?}"
    );
}

#[test]
fn a_long_file_says_why_it_is_long() {
    let mut long = Vec::new();
    for path in ["src", "tools/src", "tests"]
        .into_iter()
        .flat_map(rust_files)
    {
        let text = read(&path);
        let lines = text.lines().count();
        let header = text.lines().take_while(|line| line.starts_with("//!"));
        let reason = format!("//! Over {MOST_LINES} lines because ");
        if lines > MOST_LINES && !header.clone().any(|line| line.starts_with(&reason)) {
            long.push(format!("{}: {lines} lines", shown(&path)));
        }
    }
    assert!(
        long.is_empty(),
        "split these, or say why in the header (`//! Over {MOST_LINES} lines because …`):\n{}",
        long.join("\n")
    );
}

/// Parsing and guardrails see `stripe`, and must not be able to ask anybody: what happens to money is decided where
/// nothing can be sent or fetched.
#[test]
fn only_who_may_ask_stripe_names_its_api() {
    let may = ["stripe/api", "backfill", "worker", "app", "cli"];
    let mut seen = 0;
    for path in rust_files("src") {
        let text = code(&read(&path));
        if !text.contains("StripeApi") && !text.contains("stripe::api") {
            continue;
        }
        seen += 1;
        let inside = path.strip_prefix(root().join("src")).unwrap();
        assert!(
            may.iter().any(|room| inside.starts_with(room)) || may.contains(&room(&path).as_str()),
            "{}: only {may:?} may ask Stripe",
            shown(&path)
        );
    }
    assert!(seen > 0);
}
