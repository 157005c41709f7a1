//! The program as a user meets it: what it shows, what it refuses, what a run leaves on disk.

mod common;
mod input;
mod runs;
mod show;
