//! `ha-server drain` and `ha-server undrain`: ask a running ha-server, which hands it to the leader.

use std::time::Duration;

use clap::Args;
use ha_proto::v1::{DrainRequest, drain_request::Duty};
use ha_shell::program::print;

use crate::member_commands::CommandError;
use crate::status::client;

/// How long it may take to tell a broker.
const TOLD_MAX: Duration = Duration::from_secs(5);

/// Which broker, and whom to ask.
#[derive(Debug, Args)]
pub(crate) struct Broker {
    /// NAME of the broker
    #[arg(value_name = "BROKER")]
    name: String,
    /// Any server of the group
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2000")]
    server: String,
}

/// `ha-server drain …`
#[derive(Debug, Args)]
pub(crate) struct DrainCommand {
    #[command(flatten)]
    broker: Broker,
    /// Clients in a second; otherwise the DRAIN_RATE of the broker
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

pub(crate) async fn drain(DrainCommand { broker, rate }: DrainCommand) -> Result<(), CommandError> {
    let name = broker.name.clone();
    tell(broker, Duty::Drain, rate.unwrap_or(0)).await?;
    print(&format!("{name} lets its clients go; `clients` at its /readyz says how many are left"));
    Ok(())
}

pub(crate) async fn undrain(broker: Broker) -> Result<(), CommandError> {
    let name = broker.name.clone();
    tell(broker, Duty::Undrain, 0).await?;
    print(&format!("{name} takes clients again"));
    Ok(())
}

async fn tell(broker: Broker, duty: Duty, per_second: u32) -> Result<(), CommandError> {
    let request =
        DrainRequest { broker: broker.name, duty: duty.into(), per_second, forwarded: false };
    let told = client(&broker.server, TOLD_MAX).await?.drain(request).await;
    told.map_err(|status| CommandError::Refused(sentence(&status)))?;
    Ok(())
}

fn sentence(status: &tonic::Status) -> String {
    let unknown = status.code() == tonic::Code::Unimplemented;
    let older = "this ha-server, or the leader, is of a version that drains no brokers";
    if unknown { older.to_owned() } else { status.message().to_owned() }
}
