//! The `ha-broker` program. See the library of this package.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    broker_plugin::cli::main(broker_plugin::cli::Cli::parse())
}
