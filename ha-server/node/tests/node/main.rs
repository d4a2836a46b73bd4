//! Nodes as their users see them: in one process, on disk, over a network that can be cut.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod cluster;
mod damage;
mod key_values;
mod members;
mod recovery;
mod single;
mod snapshot;
mod three;
