//! The `ha-server` program. See the library of the same name.

use std::process::ExitCode;

use clap::Parser;

/// Gives freed memory back, and does not give back what is needed again at once.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ha_server::cli::main(ha_server::cli::Cli::parse())
}
