//! The replicated state, command by command.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

mod asks;
mod brokers;
mod exchanges;
mod feature;
mod forget;
mod format;
mod groups;
mod groups_leaving;
mod groups_random;
mod late;
mod limits;
mod ownership;
mod queues;
mod random;
mod retained;
mod storing;
mod strategies;
mod views;
mod wills;
