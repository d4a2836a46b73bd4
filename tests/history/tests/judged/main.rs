//! Histories, right ones and wrong ones, and what the check says of them.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod deliveries;
mod loss;
mod model;
mod random;
mod recorded;
mod sessions;
mod story;
