//! The `ha-broker` program. See the library of this package.

use std::process::ExitCode;

use clap::Parser;

/// Gives freed memory back, and does not give back what is needed again at once.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    broker_plugin::cli::main(broker_plugin::cli::Cli::parse())
}
