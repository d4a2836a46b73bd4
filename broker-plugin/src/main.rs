//! The `ha-broker` program. See the library of this package.

use std::process::ExitCode;

use clap::Parser;

/// Gives freed memory back, and does not give back what is needed again at once.
#[global_allocator]
static ALLOCATOR: ha_heap::Allocator = ha_heap::Allocator;

fn main() -> ExitCode {
    broker_plugin::cli::main(broker_plugin::cli::Cli::parse())
}
