use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use merit_sim::golden::Recording;
use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::parity::{FileReport, check_file};

use crate::failure::heard;
use crate::output::{print, print_json, table};

/// Step our environments from recorded states of the reference and compare what comes out
#[derive(Args)]
pub struct Parity {
    /// Recordings in the format of docs/parity.md
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One JSON object per file and line
    #[arg(long)]
    json: bool,
}

impl Parity {
    pub fn run(&self, choice: &AdapterChoice) -> anyhow::Result<ExitCode> {
        // A damaged recording ends the command before the first one is stepped.
        for file in &self.files {
            Recording::open(file)?;
        }
        let gpu = Gpu::open(choice)?;
        let mut failed = 0;
        for file in &self.files {
            let report = check_file(&gpu, file)?;
            failed += usize::from(!report.pass);
            // The verdict is of all files, whoever listens.
            heard(match self.json {
                true => print_json(&report),
                false => print(&text(&report)).map_err(Into::into),
            })?;
        }
        if !self.json {
            let files = self.files.len();
            heard(
                print(&format!("{} of {files} files pass\n", files - failed)).map_err(Into::into),
            )?;
        }
        Ok(ExitCode::from(u8::from(failed > 0)))
    }
}

fn text(report: &FileReport) -> String {
    let verdict = |pass| if pass { "pass" } else { "FAIL" };
    let rows: Vec<_> = report
        .arrays
        .iter()
        .map(|a| {
            [
                format!("  {}", a.name),
                a.steps.to_string(),
                a.compared.to_string(),
                format!("{:.1e}", a.max_abs_diff),
                if a.exact {
                    "exact".into()
                } else {
                    format!("{:.1e}", a.tolerance)
                },
                a.unequal.to_string(),
                verdict(a.pass).into(),
            ]
        })
        .collect();
    let head = [
        "  array",
        "steps",
        "compared",
        "largest difference",
        "allowed",
        "outside",
        "",
    ];
    format!(
        "{}: {}, {}, {} steps: {}\n{}",
        report.file,
        report.env,
        report.case,
        report.steps,
        verdict(report.pass),
        table(head, &rows)
    )
}
