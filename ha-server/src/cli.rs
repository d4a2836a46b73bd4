//! The command line of ha-server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use ha_shell::args::CommonArgs;
use ha_shell::layers::Settings;
use ha_shell::program::{Program, print};

use crate::config::{SCHEMA, ServerConfig};
use crate::drain_commands::{self, Broker, DrainCommand};
use crate::list_commands::{self, ClientCommand, RetainedArgs, SessionArgs, SubscriptionArgs};
use crate::member_commands::{self, LeaderCommand, MemberCommand};
use crate::run::{Listeners, run};
use crate::status;

const PROGRAM: Program = Program {
    name: "ha-server",
    schema: SCHEMA,
    default_config: "conf/HAServer.conf",
    // Ten lines for each time the state is saved, twice a second, and one for each heartbeat to a member that
    // is away. Who leads and who does not answer is told by us.
    quiet: &[("openraft", "error")],
};

/// HA coordination server for MQTT brokers.
///
/// Brokers attach to it over gRPC; it hands every message to the brokers that need it, keeps the
/// retained messages and tracks which brokers are alive.
#[derive(Debug, Parser)]
#[command(name = "ha-server", version, subcommand_negates_reqs = true)]
pub struct Cli {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the brokers of a running ha-server: state, lease age, message rates.
    Status {
        /// Where it runs.
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2000")]
        server: String,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = OutputForm::Table)]
        output: OutputForm,
    },
    /// Lists the clients that are connected to any broker.
    Clients(SessionArgs),
    /// Acts on one client.
    #[command(subcommand)]
    Client(ClientCommand),
    /// Lists the sessions of clients, connected or away.
    Sessions(SessionArgs),
    /// Lists what clients are subscribed to.
    Subscriptions(SubscriptionArgs),
    /// Lists the retained messages.
    Retained(RetainedArgs),
    /// Shows and changes the members of a group of ha-servers.
    ///
    /// A new member is added, copies the state, and is promoted then.
    #[command(subcommand)]
    Member(MemberCommand),
    /// Shows who leads a group of ha-servers, and hands over the lead.
    #[command(subcommand)]
    Leader(LeaderCommand),
    /// Tells a broker to let its clients go: it is not ready, takes no new ones and sends the others away.
    ///
    /// It stays attached until it is stopped, or told to take clients again.
    Drain(DrainCommand),
    /// Tells a broker that drains to take clients again.
    Undrain(Broker),
    /// Checks a configuration file and prints the settings that follow from it.
    CheckConfig {
        /// The file, HAServer.conf or config.json.
        file: PathBuf,
    },
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputForm {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Does what the command line says.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    let exit = match cli.command {
        None => {
            let workers = |config: &ServerConfig| config.worker_threads;
            PROGRAM.serve(&cli.common, ServerConfig::new, workers, async |config, shutdown| {
                let listeners = Listeners::bind(&config).await?;
                run(config, listeners, shutdown).await
            })
        }
        Some(Command::CheckConfig { file }) => {
            let configure = |settings: &Settings| {
                let config = ServerConfig::new(settings);
                config.inspect(|config| config.warnings.iter().for_each(|line| print(line)))
            };
            PROGRAM.check_config(&file, &cli.common, configure)
        }
        Some(Command::Clients(args)) => {
            PROGRAM.block_on(async { Ok(list_commands::clients(args).await?) })
        }
        Some(Command::Client(command)) => {
            PROGRAM.block_on(async { Ok(list_commands::client_command(command).await?) })
        }
        Some(Command::Sessions(args)) => {
            PROGRAM.block_on(async { Ok(list_commands::sessions(args).await?) })
        }
        Some(Command::Subscriptions(args)) => {
            PROGRAM.block_on(async { Ok(list_commands::subscriptions(args).await?) })
        }
        Some(Command::Retained(args)) => {
            PROGRAM.block_on(async { Ok(list_commands::retained(args).await?) })
        }
        Some(Command::Member(command)) => {
            PROGRAM.block_on(async { Ok(member_commands::member(command).await?) })
        }
        Some(Command::Leader(command)) => {
            PROGRAM.block_on(async { Ok(member_commands::leader(command).await?) })
        }
        Some(Command::Drain(command)) => {
            PROGRAM.block_on(async { Ok(drain_commands::drain(command).await?) })
        }
        Some(Command::Undrain(broker)) => {
            PROGRAM.block_on(async { Ok(drain_commands::undrain(broker).await?) })
        }
        Some(Command::Status { server, output }) => PROGRAM.block_on(async {
            let response = status::fetch(&server).await?;
            print(status::render(&response, output).trim_end());
            Ok(())
        }),
    };
    exit.into()
}
