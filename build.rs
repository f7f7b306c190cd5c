//! Cargo does not see a new migration or prompt file on its own: these folders are embedded by macros.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=prompts");
}
