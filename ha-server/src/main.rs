//! The `ha-server` program. See the library of the same name.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    ha_server::cli::main(ha_server::cli::Cli::parse())
}
