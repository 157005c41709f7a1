//! The shaders against recordings of the reference: a compact set lies in `tests/golden/smax`, `MERIT_GOLDEN=DIR` adds the
//! files of a folder and its subfolders, in both layouts.

mod common;

use std::path::{Path, PathBuf};

use merit_sim::golden::Recording;
use merit_sim::parity::{ParityError, check_file_with};
use merit_sim::registry::Layout;

use common::gpu;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/smax")
}

fn recordings(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    for path in entries.map(|e| e.expect("a readable folder").path()) {
        if path.is_dir() {
            found.extend(recordings(&path));
        } else if path.extension().is_some_and(|e| e == "safetensors") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn check(files: &[PathBuf], layout: Layout, checked: bool) {
    let gpu = gpu();
    let mut failed = Vec::new();
    for path in files {
        let report = match check_file_with(&gpu, path, layout, checked) {
            Ok(report) => report,
            // Recordings of environments that this version does not have yet.
            Err(ParityError::Unknown { .. }) => continue,
            Err(e) => panic!("{}: {e}", path.display()),
        };
        for a in report.arrays.iter().filter(|a| !a.pass) {
            failed.push(format!(
                "{}: {} differs in {} of {} entries by up to {:e}",
                report.file, a.name, a.unequal, a.compared, a.max_abs_diff
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn recordings_in_the_repository_pass_an_invocation_an_environment() {
    let files = recordings(&here());
    assert!(files.len() >= 8, "{} recordings", files.len());
    check(&files, Layout::Thread, true);
}

#[test]
fn recordings_in_the_repository_pass_a_workgroup_a_tile() {
    check(&recordings(&here()), Layout::Tile, true);
}

/// As training runs them, without bounds checks. Without `MERIT_GOLDEN` there is nothing to do.
fn check_merit_golden(layout: Layout) {
    if let Some(dir) = std::env::var_os("MERIT_GOLDEN") {
        let files = recordings(Path::new(&dir));
        assert!(!files.is_empty(), "no recording in {}", dir.display());
        check(&files, layout, false);
        println!("{} recordings, layout {layout:?}", files.len());
    }
}

#[test]
fn recordings_of_merit_golden_pass_an_invocation_an_environment() {
    check_merit_golden(Layout::Thread);
}

#[test]
fn recordings_of_merit_golden_pass_a_workgroup_a_tile() {
    check_merit_golden(Layout::Tile);
}

/// A copy of a recording with one array's bytes changed by `f`.
fn changed(name: &str, array: &str, f: impl Fn(&mut [u8])) -> tempfile::NamedTempFile {
    let bytes = std::fs::read(here().join(name)).expect("a recording");
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    let info = metadata.info(array).expect("the array");
    let (from, to) = info.data_offsets;
    let mut bytes = bytes.clone();
    f(&mut bytes[8 + header + from..8 + header + to]);
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("written");
    file
}

/// Offsets that lead out of the recording were read, and ended the program.
#[test]
fn a_grid_recording_with_wrong_offsets_is_refused() {
    let gpu = gpu();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/babyai");
    let recording = recordings(&folder).remove(0);
    let name = Path::new("../babyai").join(recording.file_name().expect("a name"));
    let name = name.to_str().expect("UTF-8");
    let message = |array: &str, f: &dyn Fn(&mut [u8])| {
        let file = changed(name, array, f);
        let report = check_file_with(&gpu, file.path(), Layout::Auto, false);
        report.expect_err("an error").to_string()
    };
    for array in ["step_offset", "state_offset"] {
        let last = message(array, &|b| {
            let at = b.len() - 4;
            b[at..].copy_from_slice(&i32::MAX.to_le_bytes());
        });
        assert!(
            last.contains("`step_offset` and `state_offset` that"),
            "{last}"
        );
        let first = message(array, &|b| b[..4].copy_from_slice(&(-1_i32).to_le_bytes()));
        assert!(
            first.contains("`step_offset` and `state_offset` that"),
            "{first}"
        );
    }
}

/// The comparison is no formality: a recording that is wrong in one entry of one array fails, in that array.
#[test]
fn a_recording_with_one_wrong_entry_fails() {
    let gpu = gpu();
    let name = "2s3z.heuristic.aggressive.s0.safetensors";
    let fails = |file: &tempfile::NamedTempFile| -> Vec<String> {
        let r = check_file_with(&gpu, file.path(), Layout::Auto, false).expect("readable");
        assert!(!r.pass);
        r.arrays
            .into_iter()
            .filter(|a| !a.pass)
            .map(|a| a.name)
            .collect()
    };
    let add = |at: usize, x: f32| {
        move |b: &mut [u8]| {
            let old = f32::from_le_bytes([b[4 * at], b[4 * at + 1], b[4 * at + 2], b[4 * at + 3]]);
            b[4 * at..4 * at + 4].copy_from_slice(&(old + x).to_le_bytes());
        }
    };
    assert_eq!(fails(&changed(name, "reward", add(17, 1e-4))), ["reward"]);
    let failed = fails(&changed(name, "obs", add(900, 1e-4)));
    assert!(failed.contains(&"obs".to_owned()), "{failed:?}");
    let failed = fails(&changed(name, "avail.ally", |b| b[60] ^= 1));
    assert_eq!(failed, ["avail.ally"]);
    // A unit half a step elsewhere: the state that a step leads to, and what is seen of it.
    let failed = fails(&changed(name, "state.unit_positions", add(200, 0.5)));
    assert!(
        failed.contains(&"state.unit_positions".to_owned()),
        "{failed:?}"
    );
}

#[test]
fn broken_files_say_what_is_wrong() {
    let gpu = gpu();
    let dir = tempfile::tempdir().expect("a folder");
    let cut = dir.path().join("cut.safetensors");
    let bytes = std::fs::read(here().join("3m.resets.safetensors")).expect("a recording");
    std::fs::write(&cut, &bytes[..bytes.len() - 100]).expect("written");
    let message = |path: &Path| {
        let report = check_file_with(&gpu, path, Layout::Auto, false);
        report.expect_err("an error").to_string()
    };
    assert!(
        message(&cut).contains("no complete safetensors file"),
        "{}",
        message(&cut)
    );
    let absent = dir.path().join("absent.safetensors");
    assert!(
        message(&absent).contains("cannot read"),
        "{}",
        message(&absent)
    );
    let r = Recording::open(&here().join("3m.resets.safetensors")).expect("readable");
    let e = r
        .f32("state.unit_positions", &[1, 2])
        .expect_err("another shape");
    assert!(e.to_string().contains("[256, 6, 2]"), "{e}");
}
