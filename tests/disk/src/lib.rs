//! What disks do to the files of a program under test.
//!
//! - [`Shim`] is a library that is preloaded into a process and notes what no sync has covered yet;
//!   a [`ForgetfulDisk`] takes that back once the process is killed, as power loss would. Linux with a
//!   C compiler only; what it does not cover says the head of `forgetful.c`.
//! - [`Damage`] is what happens to one file of a log whose bytes were on disk.
//!
//! Not here: who is killed and when, and what a program must do about it.

pub mod damage;
mod forgetful;
mod undo;

pub use damage::Damage;
pub use forgetful::{ForgetfulDisk, Shim};
