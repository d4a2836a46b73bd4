//! `ha-server status`: asks a running ha-server and prints its answer.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use ha_proto::v1::admin_client::AdminClient;
use ha_proto::v1::{BrokerStatus, StatusRequest, StatusResponse, broker_status::State};
use serde_json::json;
use tonic::transport::{Channel, Endpoint};

use crate::cli::OutputForm;
use crate::member_commands;

/// How long a running ha-server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusError {
    #[error("--server {0}: expected HOST:PORT")]
    Address(String),
    #[error("no ha-server answers at {0}; name another with --server HOST:PORT")]
    Connect(String, #[source] tonic::transport::Error),
    #[error("ha-server at {0} does not tell its status")]
    Refused(String, #[source] Box<tonic::Status>),
}

pub(crate) async fn fetch(server: &str) -> Result<StatusResponse, StatusError> {
    let status = client(server, ANSWER_MAX).await?.status(StatusRequest {}).await;
    let refused = |status| StatusError::Refused(server.to_owned(), Box::new(status));
    Ok(status.map_err(refused)?.into_inner())
}

/// A connection to a running ha-server, whose answers may take so long.
pub(crate) async fn client(
    server: &str,
    answer_max: Duration,
) -> Result<AdminClient<Channel>, StatusError> {
    let endpoint = Endpoint::from_shared(format!("http://{server}"))
        .map_err(|_| StatusError::Address(server.to_owned()))?
        .connect_timeout(ANSWER_MAX)
        .timeout(answer_max);
    let channel = endpoint.connect().await;
    let channel = channel.map_err(|error| StatusError::Connect(server.to_owned(), error))?;
    Ok(AdminClient::new(channel))
}

pub(crate) fn render(status: &StatusResponse, output: OutputForm) -> String {
    match output {
        OutputForm::Table => table(status),
        OutputForm::Json => json(status),
    }
}

fn table(status: &StatusResponse) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header([
        "BROKER",
        "STATE",
        "LEASE AGE",
        "FILTERS",
        "IN MSG/S",
        "OUT MSG/S",
        "QUEUED",
        "DROPPED",
        "ADDRESS",
    ]);
    for broker in &status.brokers {
        table.add_row([
            broker.name.clone(),
            state(broker).to_owned(),
            format!("{} ms", broker.lease_age_ms),
            broker.filters.to_string(),
            format!("{:.0}", broker.published_per_second),
            format!("{:.0}", broker.delivered_per_second),
            format!("{} B", broker.queued_bytes),
            broker.dropped_total.to_string(),
            broker.address.clone(),
        ]);
    }
    for column in 2..8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let group = status.group.clone().unwrap_or_default();
    if group.leader != status.node && group.members.len() > 1 {
        return format!(
            "{}, up {} s; brokers are attached to the leader\n\n{}",
            status.software,
            status.uptime_ms / 1_000,
            member_commands::table(&group),
        );
    }
    format!(
        "{}, up {} s, lease {} ms, {} attached, {} retained messages ({} B)\n\n{}\n{}\n",
        status.software,
        status.uptime_ms / 1_000,
        status.lease_ms,
        status.brokers.iter().filter(|broker| broker.state() == State::Attached).count(),
        status.retained_messages,
        status.retained_bytes,
        member_commands::table(&group),
        table.trim_fmt(),
    )
}

fn json(status: &StatusResponse) -> String {
    let broker = |broker: &BrokerStatus| {
        json!({
            "name": broker.name,
            "state": state(broker),
            "epoch": broker.epoch,
            "address": broker.address,
            "software": broker.software,
            "lease_age_ms": broker.lease_age_ms,
            "filters": broker.filters,
            "queued_bytes": broker.queued_bytes,
            "published_total": broker.published_total,
            "delivered_total": broker.delivered_total,
            "dropped_total": broker.dropped_total,
            "published_per_second": broker.published_per_second,
            "delivered_per_second": broker.delivered_per_second,
        })
    };
    let status = json!({
        "software": status.software,
        "incarnation": status.incarnation,
        "uptime_ms": status.uptime_ms,
        "lease_ms": status.lease_ms,
        "retained_messages": status.retained_messages,
        "retained_bytes": status.retained_bytes,
        "brokers": status.brokers.iter().map(broker).collect::<Vec<_>>(),
        "node": status.node,
        "group": member_commands::json(&status.group.clone().unwrap_or_default()),
    });
    format!("{status:#}\n")
}

fn state(broker: &BrokerStatus) -> &'static str {
    match broker.state() {
        State::Attached if broker.draining => "draining",
        State::Attached => "attached",
        State::Detached => "detached",
        State::Lost => "lost",
        State::Unspecified => "unknown",
    }
}
