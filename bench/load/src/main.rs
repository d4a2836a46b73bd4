//! `ha-bench`: measures MQTT brokers and clusters of them, over raw sockets.
//!
//! [`load`]: patterns made of publishers and subscribers, closed loop with a window per publisher or open
//! loop at a rate. [`idle`]: what connections cost that do nothing. Both by MQTT 3.1.1 or 5, with or without
//! TLS. The others, by MQTT 3.1.1 without TLS, ask one question each about a cluster: how long clients
//! wait when a server dies ([`outage`]) or their broker ([`takeover`]), when their wills come ([`wills`]), how fast
//! a client gets what was queued for it ([`backlog`]), what sessions that are away cost ([`sessions`]), how soon a
//! process serves ([`ready`]).
//!
//! Prints a line for each figure: name, number, unit; or all of them as JSON ([`report`]).

#![expect(clippy::print_stdout, reason = "a measuring program")]

mod backlog;
mod client;
mod compose;
mod connector;
mod idle;
mod limits;
mod load;
mod outage;
mod pacer;
mod packet;
mod processes;
mod progress;
mod publishing;
mod ready;
mod report;
mod run;
mod seen;
mod sessions;
mod shape;
mod steady;
mod stream;
mod subscribing;
mod takeover;
mod wills;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::load::{LoadArgs, TopicsArgs};
use crate::report::{Figure, Format};
use crate::shape::Pattern;

/// Measures MQTT brokers and clusters of them.
#[derive(Debug, Parser)]
#[command(name = "ha-bench", version)]
struct Args {
    /// Prints the figures as one line of JSON, with numbers that are not rounded.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Loads brokers: each publisher has its own subscriber.
    Pairs(LoadArgs),
    /// Loads brokers: one publisher, all subscribers.
    FanOut(LoadArgs),
    /// Loads brokers: all publishers, one subscriber.
    FanIn(LoadArgs),
    /// Loads brokers: all subscribers are one share group. Order is not judged.
    Shared(LoadArgs),
    /// Loads brokers: pairs, and each publisher has many topics.
    Topics(TopicsArgs),
    /// Strikes, and measures how long a publisher waits for its acknowledgements.
    Outage(outage::Args),
    /// Queues messages for a client that is away, and measures how it gets them.
    Backlog(backlog::Args),
    /// Makes sessions of clients that are away, and measures what they cost.
    Sessions(sessions::Args),
    /// Opens connections that do nothing, and measures what they cost.
    Idle(idle::Args),
    /// Strikes a broker, and measures how its clients go on elsewhere.
    Takeover(takeover::Args),
    /// Strikes a broker, and measures when the wills of its clients come.
    Wills(wills::Args),
    /// Waits until a program says that it is ready.
    Ready(ready::Args),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let format = if args.json { Format::Json } else { Format::Text };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(args.command.run())) {
        Ok(figures) => {
            println!("{}", report::text(&figures, format));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ha-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Command {
    async fn run(self) -> io::Result<Vec<Figure>> {
        match self {
            Self::Pairs(args) => args.run(Pattern::Pairs).await,
            Self::FanOut(args) => args.run(Pattern::FanOut).await,
            Self::FanIn(args) => args.run(Pattern::FanIn).await,
            Self::Shared(args) => args.run(Pattern::Shared).await,
            Self::Topics(args) => args.run().await,
            Self::Outage(args) => outage::run(args).await,
            Self::Backlog(args) => backlog::run(args).await,
            Self::Sessions(args) => sessions::run(args).await,
            Self::Idle(args) => idle::run(args).await,
            Self::Takeover(args) => takeover::run(args).await,
            Self::Wills(args) => wills::run(args).await,
            Self::Ready(args) => ready::run(args).await,
        }
    }
}
