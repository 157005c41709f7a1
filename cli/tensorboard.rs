//! `--tensorboard`: the lines of a run as TensorBoard's event files, a folder per member.
//!
//! An event file is a sequence of TFRecords (length, masked CRC-32C of the length, data, masked CRC-32C of the data), each a
//! protocol buffer `Event`; of its fields four are written here. A run's folder is written anew from `metrics.jsonl` when
//! the run is gone on with, so that nothing in it comes twice.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use merit_learn::record::{Kind, MemberRecord, Record};
use merit_learn::run::{Run, RunError, records, timings};
use merit_learn::train::Event;

const FOLDER: &str = "tensorboard";

/// The event files of a run.
pub struct Board {
    /// Opened for every line: a population may have more members than a process files.
    members: Vec<PathBuf>,
    /// The first that went wrong; training is not stopped for it.
    error: Option<RunError>,
}

impl Board {
    /// Begins the run's folder anew, with the lines that the run has.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn open(run: &Run) -> Result<Self, RunError> {
        let folder = run.path().join(FOLDER);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io_error(&folder))?;
        }
        let config = &run.info.config;
        let seeds = config.seeds_from(config.seed).into_iter().enumerate();
        let member =
            |(p, seed)| create(&folder.join(format!("seed-{seed}{}", config.own_values(p))));
        let board = Self {
            members: seeds.map(member).collect::<Result<_, _>>()?,
            error: None,
        };
        for record in records(run.path())? {
            board.write(&record)?;
        }
        for timing in timings(run.path())? {
            board.write_rate(timing.step, timing.env_steps_per_s)?;
        }
        Ok(board)
    }

    pub fn show(&mut self, event: &Event<'_>) {
        let written = match event {
            Event::Evaluated(record) => self.write(record),
            Event::Logged(record, timing) => self
                .write(record)
                .and_then(|()| self.write_rate(timing.step, timing.env_steps_per_s)),
            Event::Saved { .. } => Ok(()),
        };
        self.error = self.error.take().or(written.err());
    }

    /// # Errors
    /// The first that happened since the folder was opened.
    pub fn end(self) -> Result<(), RunError> {
        self.error.map_or(Ok(()), Err)
    }

    fn write(&self, record: &Record) -> Result<(), RunError> {
        for (path, member) in self.members.iter().zip(&record.members) {
            append(
                path,
                &event(now(), record.step, &values(record.kind, member)),
            )?;
        }
        Ok(())
    }

    /// The device's rate, which the members share.
    fn write_rate(&self, step: u64, env_steps_per_s: f64) -> Result<(), RunError> {
        let value = [("time/env_steps_per_s".to_owned(), env_steps_per_s)];
        let data = event(now(), step, &value);
        self.members.iter().try_for_each(|path| append(path, &data))
    }
}

fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let path = path.to_owned();
    move |reason| RunError::Io { path, reason }
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |d| d.as_secs_f64())
}

fn append(path: &Path, data: &[u8]) -> Result<(), RunError> {
    let file = File::options().create(true).append(true).open(path);
    let written = file.and_then(|mut file| file.write_all(&tf_record(data)));
    written.map_err(io_error(path))
}

/// An event file with its first record, in a folder of its own. TensorBoard knows it by its name.
fn create(folder: &Path) -> Result<PathBuf, RunError> {
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let path = folder.join(format!("events.out.tfevents.{:010}.merit", now() as u64));
    let mut first = Vec::new();
    double(&mut first, 1, now());
    bytes(&mut first, 3, b"brain.Event:2");
    append(&path, &first)?;
    Ok(path)
}

/// What a line says of a member, by tag.
fn values(kind: Kind, member: &MemberRecord) -> Vec<(String, f64)> {
    let group = match kind {
        Kind::Train => "train",
        Kind::Eval => "eval",
    };
    let means = [
        ("return", member.mean_return),
        ("win_rate", member.win_rate),
        ("length", member.length),
        ("truncated", member.truncated),
    ];
    let diagnostics = member.diagnostics.iter().map(|(n, x)| (n.as_str(), *x));
    means
        .into_iter()
        .chain(diagnostics)
        .filter_map(|(name, value)| Some((format!("{group}/{name}"), value?)))
        .collect()
}

/// `Event { wall_time = 1, step = 2, summary = 5 }`, `Summary { value = 1 }`, `Value { tag = 1, simple_value = 2 }`.
fn event(wall_time: f64, step: u64, values: &[(String, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut message = Vec::new();
        bytes(&mut message, 1, tag.as_bytes());
        varint(&mut message, 2 << 3 | 5);
        message.extend((*value as f32).to_le_bytes());
        bytes(&mut summary, 1, &message);
    }
    let mut event = Vec::new();
    double(&mut event, 1, wall_time);
    varint(&mut event, 2 << 3);
    varint(&mut event, step);
    bytes(&mut event, 5, &summary);
    event
}

fn varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn double(to: &mut Vec<u8>, field: u64, number: f64) {
    varint(to, field << 3 | 1);
    to.extend(number.to_le_bytes());
}

fn bytes(to: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(to, field << 3 | 2);
    varint(to, content.len() as u64);
    to.extend(content);
}

fn tf_record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let parts: [&[u8]; 4] = [
        &length,
        &masked_crc(&length).to_le_bytes(),
        data,
        &masked_crc(data).to_le_bytes(),
    ];
    parts.concat()
}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: a line every few seconds needs no table.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4, and the usual check value.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn events_have_the_bytes_of_their_format() {
        let event = event(1.0, 300, &[("a".into(), 0.5)]);
        let summary = [0x0a, 8, 0x0a, 1, b'a', 0x15, 0, 0, 0, 0x3f];
        let expected = [
            &[0x09][..],
            &1.0_f64.to_le_bytes(),
            &[0x10, 0xac, 0x02, 0x2a, 10],
            &summary,
        ];
        assert_eq!(event, expected.concat());
        let record = tf_record(&event);
        assert_eq!(record.len(), 8 + 4 + event.len() + 4);
        assert_eq!(record[..8], (event.len() as u64).to_le_bytes());
    }
}
