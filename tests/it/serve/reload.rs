//! Prompts that change under a running service.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{customer, intent, on_both};
use crate::support::place::Place;
use crate::support::process::{Process, fresh_event};

on_both!(
    prompts_change_as_a_whole_or_not_at_all,
    without_a_folder_a_hangup_is_answered_and_harms_nobody,
);

const MAIL: &str = "emails/payment_failed.md";
const SUBJECT: &str = "Your payment to {{business_name}} did not go through";

/// A built-in file with one thing replaced.
fn changed(file: &str, from: &str, to: &str) -> String {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("prompts")
        .join(file);
    let text = std::fs::read_to_string(built_in).unwrap();
    assert!(text.contains(from), "{file} does not contain {from}");
    text.replace(from, to)
}

/// A folder as Kubernetes mounts a `ConfigMap`: what is in it are links through `..data`, which is turned from one
/// version to the next by a rename.
struct Mounted {
    folder: PathBuf,
    version: u32,
}

impl Mounted {
    fn new(folder: PathBuf, mail: &str) -> Self {
        std::fs::create_dir(&folder).unwrap();
        let mut mounted = Self { folder, version: 0 };
        mounted.turn(mail);
        symlink("..data/emails", mounted.folder.join("emails")).unwrap();
        mounted
    }

    /// The next version.
    fn turn(&mut self, mail: &str) {
        self.version += 1;
        let version = format!("..version_{}", self.version);
        let emails = self.folder.join(&version).join("emails");
        std::fs::create_dir_all(&emails).unwrap();
        std::fs::write(emails.join("payment_failed.md"), mail).unwrap();
        let next = self.folder.join("..data_tmp");
        symlink(&version, &next).unwrap();
        std::fs::rename(next, self.folder.join("..data")).unwrap();
    }
}

/// A payment fails, and its mail is written; the run and the mail.
async fn one_fails(process: &Process, number: u32) -> (Value, Value) {
    let (person, payment) = (format!("cus_{number}"), format!("pi_{number}"));
    let known = format!("evt_cus_{number}");
    process
        .deliver(&fresh_event(&known, "customer.created", &customer(&person)))
        .await;
    let failed = intent(&payment, Some(&person), "requires_payment_method");
    let id = format!("evt_{number}");
    process
        .deliver(&fresh_event(&id, "payment_intent.payment_failed", &failed))
        .await;
    let event = process.event_when(&id, "done").await;
    let messages = event["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{event:#}");
    (event["run"].clone(), messages[0].clone())
}

async fn reloads(process: &Process, outcome: &str, count: u64) {
    let series = format!("billhook_prompts_reloads_total{{outcome=\"{outcome}\"}}");
    process
        .wait_until(&series, async |process| {
            process.metric(&series).await >= count
        })
        .await;
    assert_eq!(process.metric(&series).await, count, "{series}");
}

async fn prompts_change_as_a_whole_or_not_at_all(mut place: Place) {
    let folder = place.home().join("prompts");
    let mut mounted = Mounted::new(folder.clone(), &changed(MAIL, SUBJECT, "First words"));
    place.set(
        "BILLHOOK__PROMPTS__FOLDER",
        folder.to_str().unwrap().to_owned(),
    );
    let mut process = place.serve().await;
    let (first, mail) = one_fails(&process, 1).await;
    assert_eq!(mail["subject"], "First words");
    assert_eq!(first["prompt_hash"].as_str().unwrap().len(), 64);
    assert_eq!(first["tools_hash"].as_str().unwrap().len(), 64);

    // The next run is told by the new ones; the tools are what they were.
    mounted.turn(&changed(MAIL, SUBJECT, "Second words"));
    reloads(&process, "adopted", 1).await;
    let (second, mail) = one_fails(&process, 2).await;
    assert_eq!(mail["subject"], "Second words");
    assert_ne!(second["prompt_hash"], first["prompt_hash"]);
    assert_eq!(second["tools_hash"], first["tools_hash"]);

    // What is wrong is refused as a whole: though the mail itself is fine, another file is not.
    mounted.turn(&changed(MAIL, SUBJECT, "Third words"));
    let own = folder.join("terms.md");
    std::fs::write(
        &own,
        changed("terms.md", "{{ language }}", "{{ lanugage }}"),
    )
    .unwrap();
    reloads(&process, "refused", 1).await;
    let (third, mail) = one_fails(&process, 3).await;
    assert_eq!(mail["subject"], "Second words");
    assert_eq!(third["prompt_hash"], second["prompt_hash"]);
    let log = process.log();
    let error = log.lines().find(|line| line.contains("ERROR")).unwrap();
    for part in ["terms.md", "lanugage", "prompts check"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(process.status("/readyz").await, 200);

    // Whoever asks is told again; and nothing was adopted meanwhile.
    process.signal("HUP");
    reloads(&process, "refused", 2).await;
    reloads(&process, "adopted", 1).await;

    // What the command says is what the service does.
    let check = async || {
        let command = place.command(&["prompts", "check", folder.to_str().unwrap()]);
        place.run(command).await
    };
    assert_eq!(check().await.0, Some(1));
    let (code, told) = place.run(place.command(&["serve"])).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("lanugage"), "{told}");

    // As an editor saves: written beside it, and renamed over it.
    let beside = folder.join(".terms.md.new");
    std::fs::write(
        &beside,
        changed("terms.md", "words for colleagues", "those for colleagues"),
    )
    .unwrap();
    std::fs::rename(&beside, &own).unwrap();
    reloads(&process, "adopted", 2).await;
    assert_eq!(check().await.0, Some(0));
    let (fourth, mail) = one_fails(&process, 4).await;
    assert_eq!(mail["subject"], "Third words");
    assert_ne!(fourth["prompt_hash"], second["prompt_hash"]);
    process.signal("HUP");
    reloads(&process, "unchanged", 1).await;

    // One set is in use, and nothing was lost or done twice.
    let metrics = process.metrics().await;
    let in_use = metrics
        .lines()
        .filter(|line| line.starts_with("billhook_prompts_info{"));
    let in_use: Vec<&str> = in_use.filter(|line| line.ends_with(" 1")).collect();
    assert_eq!(in_use.len(), 1, "{in_use:#?}");
    assert_eq!(process.all("/runs").await.len(), 4);
    assert_eq!(process.all("/outbox").await.len(), 4);
    assert!(process.runs());
}

async fn without_a_folder_a_hangup_is_answered_and_harms_nobody(place: Place) {
    let mut process = place.serve().await;
    process.signal("HUP");
    process
        .wait_until("it says why nothing happens", async |process| {
            process.log().contains("there is nothing to reload")
        })
        .await;
    let (run, mail) = one_fails(&process, 1).await;
    assert_eq!(run["status"], "done");
    assert_eq!(mail["playbook"], "payment_failed");
    assert!(process.runs());
}
