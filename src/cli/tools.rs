//! `billhook tools`: the contracts a model sees, and the committed files that hold them.

use std::path::Path;

use billhook_tools::Tool;
use clap::Subcommand;
use serde_json::json;

use super::Answer;
use super::failure::Failure;
use super::output::Output;

/// Where the committed contracts are, seen from the root of the repository.
const FOLDER: &str = "tools";

#[derive(Debug, Subcommand)]
pub(super) enum Tools {
    /// List the tools
    List,
    /// Print the contract of one tool
    Schema {
        /// The tool
        name: String,
    },
    /// Write every contract to `tools/NAME.json` below the current folder
    Export {
        /// Write nothing; fail and name the files that differ
        #[arg(long)]
        check: bool,
    },
}

impl Tools {
    pub(super) fn run(self, output: &mut Output) -> anyhow::Result<Answer> {
        match self {
            Self::List => list(output),
            Self::Schema { name } => schema(&name, output),
            Self::Export { check } => export(Path::new(FOLDER), check, output),
        }
    }
}

fn list(output: &mut Output) -> anyhow::Result<Answer> {
    let tools = billhook_tools::all();
    if output.is_json() {
        let data: Vec<_> = tools
            .iter()
            .map(|tool| json!({"name": tool.name(), "effect": tool.effect(), "contract": tool.contract()}))
            .collect();
        output.json(&json!({"object": "list", "data": data, "has_more": false}))?;
        return Ok(Answer::Yes);
    }
    let rows = tools.iter().map(|tool| {
        let effect = match tool.effect() {
            billhook_tools::Effect::Read => "reads only",
            billhook_tools::Effect::Database => "a row, with the run",
            billhook_tools::Effect::Outbox => "a message in the outbox",
        };
        let description = tool.contract().description;
        let first = description.split_inclusive(". ").next().unwrap_or_default();
        vec![
            tool.name().to_owned(),
            effect.to_owned(),
            first.trim().to_owned(),
        ]
    });
    output.table(&["tool", "effect", "what it does"], rows)?;
    Ok(Answer::Yes)
}

fn schema(name: &str, output: &mut Output) -> anyhow::Result<Answer> {
    let Some(tool) = billhook_tools::find(name) else {
        let names: Vec<&str> = billhook_tools::all()
            .iter()
            .map(|tool| tool.name())
            .collect();
        return Err(Failure::Usage(format!(
            "there is no tool `{name}`; there are {}",
            names.join(", ")
        ))
        .into());
    };
    output.bytes(billhook_tools::contract_file(tool.as_ref()).as_bytes())?;
    Ok(Answer::Yes)
}

fn export(folder: &Path, check: bool, output: &mut Output) -> anyhow::Result<Answer> {
    let tools = billhook_tools::all();
    let differing: Vec<&Box<dyn Tool>> = tools
        .iter()
        .filter(|tool| {
            let committed = std::fs::read(folder.join(file(tool.as_ref())));
            committed.ok().as_deref()
                != Some(billhook_tools::contract_file(tool.as_ref()).as_bytes())
        })
        .collect();
    if !check {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        for tool in &differing {
            let path = folder.join(file(tool.as_ref()));
            std::fs::write(&path, billhook_tools::contract_file(tool.as_ref()))
                .map_err(|error| unwritable(&path, &error))?;
        }
    }
    let names: Vec<&str> = differing.iter().map(|tool| tool.name()).collect();
    if output.is_json() {
        let key = if check { "differing" } else { "written" };
        output.json(&json!({"object": "export", key: names, "checked": tools.len()}))?;
    } else if names.is_empty() {
        output.line(format!(
            "all {} contracts in {FOLDER}/ are as the code has them",
            tools.len()
        ))?;
    } else {
        for tool in &differing {
            let verb = if check { "differs" } else { "written" };
            output.line(format!("{verb}: {FOLDER}/{}", file(tool.as_ref())))?;
        }
        if check {
            output.line(
                "run `billhook tools export` in the root of the repository and commit the files",
            )?;
        }
    }
    Ok(if check && !names.is_empty() {
        Answer::No
    } else {
        Answer::Yes
    })
}

fn file(tool: &dyn Tool) -> String {
    format!("{}.json", tool.name())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Outside(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_writes_what_check_then_accepts() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::silent();
        assert_eq!(
            export(folder.path(), true, &mut output).unwrap(),
            Answer::No
        );
        assert_eq!(
            export(folder.path(), false, &mut output).unwrap(),
            Answer::Yes
        );
        assert_eq!(
            export(folder.path(), true, &mut output).unwrap(),
            Answer::Yes
        );
        std::fs::write(folder.path().join("send_email.json"), "{}").unwrap();
        assert_eq!(
            export(folder.path(), true, &mut output).unwrap(),
            Answer::No
        );
    }
}
