//! What the pages say can be done: their commands are understood, their links lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{arg, output, text};

/// All files under `folder` that end so.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files(Path::new("docs"), "md");
    pages.extend(["README.md", "CHANGELOG.md"].map(PathBuf::from));
    pages
}

#[test]
fn links_of_pages_lead_somewhere() {
    let (mut seen, mut dead) = (0, Vec::new());
    for page in pages() {
        let folder = page.parent().expect("in the repository");
        let page_text = fs::read_to_string(&page).expect("a page");
        for link in page_text.split("](").skip(1) {
            let link = link.split(')').next().expect("what split gives");
            let file = link.split('#').next().expect("what split gives");
            if file.is_empty() || file.contains("://") {
                continue;
            }
            seen += 1;
            if !folder.join(file).exists() {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(seen > 100, "{seen} links");
    assert!(dead.is_empty(), "{dead:#?}");
}

/// The indented lines of a page that begin with `merit train`, as arguments.
fn train_commands(page: &Path) -> Vec<Vec<String>> {
    let page_text = fs::read_to_string(page).expect("a page");
    let joined = page_text.replace("\\\n", " ");
    let commands = joined.lines().filter_map(|l| l.strip_prefix("    merit "));
    commands
        .map(|l| l.split('#').next().expect("what split gives"))
        .map(|l| l.split_whitespace().map(str::to_owned).collect())
        .filter(|words: &Vec<String>| words.first().is_some_and(|w| w == "train"))
        .filter(|words| words.iter().all(|w| w != "--resume"))
        .collect()
}

/// Everything of a command is read before the number of epochs is found to be 0.
#[test]
fn train_commands_of_pages_are_understood() {
    let results = Path::new("docs/results");
    let mut tried = 0;
    for page in pages().iter().filter(|p| !p.starts_with(results)) {
        for command in train_commands(page) {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            let all = [&words[..], &["--set", "epochs=0"]].concat();
            let told = output(&all);
            let error = text(&told.stderr);
            // What the reader is to write.
            let own = ["payoffs.txt", "kitchen.txt", "`rendezvous`"];
            let theirs = own.iter().any(|f| error.contains(f));
            assert!(
                error.contains("`epochs` is 0: it takes 1 to") || theirs,
                "{}: merit {}: {error}",
                page.display(),
                command.join(" ")
            );
            tried += 1;
        }
    }
    assert!(tried > 10, "{tried} commands");
}

#[test]
fn sweeps_of_recipes_can_be_planned() {
    let folder = tempfile::tempdir().expect("temp");
    let recipes = files(Path::new("docs/recipes"), "toml");
    let is_sweep = |f: &&PathBuf| {
        f.file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with("sweep-"))
    };
    let sweeps: Vec<_> = recipes.iter().filter(is_sweep).collect();
    assert!(sweeps.len() > 4, "{sweeps:?}");
    for (i, sweep) in sweeps.into_iter().enumerate() {
        let out = folder.path().join(i.to_string());
        let told = output(&["sweep", arg(sweep), "--out", arg(&out), "--dry-run"]);
        assert!(
            told.status.success(),
            "{}: {}",
            sweep.display(),
            text(&told.stderr)
        );
    }
}
