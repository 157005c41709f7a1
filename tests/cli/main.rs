//! The program as a user meets it: what it shows, what it refuses, what a run leaves on disk.

mod common;
mod documents;
mod input;
mod play;
mod report;
mod runs;
mod show;
mod sweep;
