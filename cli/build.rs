//! Puts the commit into the program, for `run.toml`; `unknown` where it is built outside a checkout.

use std::path::Path;
use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn main() {
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=MERIT_COMMIT={commit}");
    println!("cargo::rerun-if-changed=cli/build.rs");
    // The log of HEAD grows with every commit and checkout, also where the branch's own file is packed away. Naming a
    // file that does not exist would run this on every build.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    if let Some(log) = log.filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
}
