//! The command line of ha-broker.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ha_shell::args::CommonArgs;
use ha_shell::program::Program;

use crate::config::{BrokerConfig, SCHEMA};
use crate::run::run;

const PROGRAM: Program = Program {
    name: "ha-broker",
    schema: SCHEMA,
    default_config: "conf/broker.conf",
    // A line and a span for each packet, even at its error level; and forty lines at each start of one
    // that is alone. What goes wrong there is told by us.
    quiet: &[("rumqttd", "off"), ("openraft", "off")],
};

/// MQTT broker that can be one of many.
///
/// Serves MQTT 3.1, 3.1.1 and 5 clients. With DISTRIBUTION_ENABLED = YES it attaches to ha-server and
/// becomes part of a cluster that clients see as one broker.
#[derive(Debug, Parser)]
#[command(name = "ha-broker", version)]
pub struct Cli {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks a configuration file and prints the settings that follow from it.
    CheckConfig {
        /// The file, broker.conf.
        file: PathBuf,
    },
}

/// Does what the command line says.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    let exit = match cli.command {
        None => {
            let workers = |config: &BrokerConfig| config.worker_threads;
            PROGRAM.serve(&cli.common, BrokerConfig::new, workers, run)
        }
        Some(Command::CheckConfig { file }) => {
            PROGRAM.check_config(&file, &cli.common, BrokerConfig::new)
        }
    };
    exit.into()
}
