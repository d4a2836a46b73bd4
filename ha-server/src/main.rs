//! The `ha-server` program. See the library of the same name.

use std::process::ExitCode;

use clap::Parser;

/// Gives freed memory back, and does not give back what is needed again at once.
#[global_allocator]
static ALLOCATOR: ha_heap::Allocator = ha_heap::Allocator;

fn main() -> ExitCode {
    ha_server::cli::main(ha_server::cli::Cli::parse())
}
