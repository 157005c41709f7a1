//! Reports: what a page must be, of runs that are checked in, and in a browser.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{arg, merit, output, refused, text};
use serde_json::Value;

/// Every element is well-formed, and none leads out of the page.
#[track_caller]
pub fn is_self_contained(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    let tree = roxmltree::Document::parse(body).expect("XML");
    let pictures = tree.descendants().filter(|n| n.has_tag_name("svg"));
    for picture in pictures.clone() {
        assert!(picture.attribute("aria-label").is_some());
        for node in picture.descendants().filter(|n| n.is_element()) {
            for attribute in node.attributes() {
                let value = attribute.value();
                assert!(!value.contains("NaN") && !value.contains("inf"), "{value}");
            }
        }
    }
    assert!(pictures.count() > 3, "a report has charts");
    for node in tree.descendants().filter(|n| n.is_element()) {
        let tag = node.tag_name().name();
        assert!(
            !["script", "link", "img", "iframe", "object"].contains(&tag),
            "{tag}"
        );
        for name in ["src", "href"] {
            assert!(node.attribute(name).is_none(), "{tag} has {name}");
        }
    }
    for word in ["http:", "https:", "url(", "@import"] {
        assert!(!page.contains(word), "`{word}` is in the page");
    }
}

/// Runs that are checked in.
fn results(names: &[&str]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/results");
    names.iter().map(|name| folder.join(name)).collect()
}

fn report(out: &Path, runs: &[PathBuf], more: &[&str]) -> String {
    let mut command = merit(&["report", "--out", arg(out)]);
    let output = command.args(runs).args(more).output().expect("starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::read_to_string(out.join("report.html")).expect("page")
}

const RUNS: [&str; 3] = [
    "2026-11-21-2s3z-mappo",
    "2026-11-21-3m-mappo",
    "2026-11-21-simple-spread-ippo",
];

#[test]
fn runs_of_several_environments_are_one_page() {
    let folder = tempfile::tempdir().expect("temp");
    let page = report(folder.path(), &results(&RUNS), &[]);
    is_self_contained(&page);
    for words in [
        "smax/2s3z",
        "smax/3m",
        "mpe/simple_spread",
        "9 members in 3 runs",
    ] {
        assert!(page.contains(words), "`{words}` is not in the page");
    }
    // A win rate where there is one, a return elsewhere; each as the run's own summary has it.
    let summary = fs::read(results(&RUNS)[0].join("summary.json")).expect("summary");
    let summary: Value = serde_json::from_slice(&summary).expect("JSON");
    let mean = summary["win_rate_after"].as_f64().expect("a rate");
    let markdown = fs::read_to_string(folder.path().join("report.md")).expect("tables");
    let row = markdown.split("## smax/2s3z").nth(1).expect("a section");
    assert!(row.contains("IQM of the win rate"), "{row}");
    // Of three seeds none is left out: the interquartile mean is the mean.
    assert!(row.contains(&format!("| mappo | 3 | {mean:.3} [")), "{row}");
    let row = markdown
        .split("## mpe/simple_spread")
        .nth(1)
        .expect("a section");
    assert!(row.contains("IQM of the return"), "{row}");

    // A repeat writes the same bytes: the bootstrap's draws are fixed.
    let again = tempfile::tempdir().expect("temp");
    assert!(report(again.path(), &results(&RUNS), &[]) == page);
    let by_return = report(again.path(), &results(&RUNS[..1]), &["--metric", "return"]);
    assert!(by_return.contains("IQM of the return [95 %]"));
}

#[test]
fn what_cannot_be_reported_is_refused() {
    let folder = tempfile::tempdir().expect("temp");
    let runs = results(&RUNS);
    refused(&output(&["report", arg(folder.path())]), &["is no run"]);
    refused(
        &output(&["report", arg(&runs[0]), arg(&runs[1])]),
        &["--out"],
    );
    let out = folder.path().join("out");
    let twice = ["report", arg(&runs[0]), arg(&runs[0]), "--out", arg(&out)];
    refused(&output(&twice), &["the same member", "seed 0"]);
    assert!(!out.exists());
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    let below = ["report", arg(&runs[0]), "--out", arg(&file)];
    refused(&output(&below), &["cannot write in"]);
}

/// `MERIT_BROWSER`, or what is installed of those that draw without a screen.
fn browser() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("MERIT_BROWSER") {
        return Some(path.into());
    }
    let names = [
        "chromium",
        "chromium-headless-shell",
        "chromium-browser",
        "google-chrome",
        "firefox",
    ];
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let all = names
        .iter()
        .flat_map(|n| folders.iter().map(move |f| f.join(n)));
    all.into_iter().find(|p| p.is_file())
}

/// A picture of the page, as the browser draws it.
fn screenshot(browser: &Path, page: &Path, picture: &Path) {
    let url = format!("file://{}", page.display());
    let shot = format!("--screenshot={}", picture.display());
    let mut command = Command::new(browser);
    // Firefox writes its profile at home, which a test leaves alone.
    let home = picture.parent().expect("a folder");
    command.env("HOME", home).args(["--headless", &shot]);
    if browser.to_string_lossy().contains("firefox") {
        command.args(["--window-size", "1060,2000"]);
    } else {
        command.args(["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]);
        command.arg("--window-size=1060,2000");
    }
    let output = command.arg(url).output().expect("the browser starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_browser_draws_the_page() {
    let Some(browser) = browser() else {
        // Not by println!, which a test that passes keeps to itself.
        let why =
            "no browser on PATH (chromium, google-chrome, firefox), and MERIT_BROWSER is not set";
        let _ = writeln!(std::io::stderr(), "skipped a_browser_draws_the_page: {why}");
        return;
    };
    let folder = tempfile::tempdir().expect("temp");
    report(folder.path(), &results(&RUNS), &[]);
    let picture = folder.path().join("page.png");
    screenshot(&browser, &folder.path().join("report.html"), &picture);
    let decoder = png::Decoder::new(std::io::BufReader::new(
        fs::File::open(&picture).expect("a picture"),
    ));
    let mut reader = decoder.read_info().expect("PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
    let frame = reader.next_frame(&mut pixels).expect("a frame");
    let samples = frame.color_type.samples();
    // The colours of the three series' line, band and text: the first of the palette covers some hundred pixels.
    let blue = pixels
        .chunks_exact(samples)
        .filter(|p| p[..3] == [0x00, 0x72, 0xb2]);
    let blue = blue.count();
    assert!(
        blue > 200,
        "{} drew {blue} pixels of the first series",
        browser.display()
    );
}
