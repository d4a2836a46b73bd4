//! The status as tables and as JSON.

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use ha_proto::v1::{BrokerStatus, StatusResponse, broker_status::State};
use serde_json::json;

use super::failovers;
use crate::cli::OutputForm;
use crate::member_commands;

/// The status of a server for people or for programs.
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
        "UNRECEIVED",
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
            broker.unreceived.to_string(),
            broker.dropped_total.to_string(),
            broker.address.clone(),
        ]);
    }
    for column in 2..9 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let group = status.group.clone().unwrap_or_default();
    if group.leader != status.node && group.members.len() > 1 {
        return format!(
            "{}, up {} s; brokers are attached to the leader\n\n{}{}",
            status.software,
            status.uptime_ms / 1_000,
            member_commands::table(&group),
            failovers::tables(status),
        );
    }
    format!(
        "{}, up {} s, lease {} ms, {} attached, {} retained messages ({} B)\n\
         {} sessions ({} connected, {} away), {} subscriptions\n\n{}\n{}\n{}",
        status.software,
        status.uptime_ms / 1_000,
        status.lease_ms,
        status.brokers.iter().filter(|broker| broker.state() == State::Attached).count(),
        status.retained_messages,
        status.retained_bytes,
        status.sessions,
        status.sessions_connected,
        status.sessions.saturating_sub(status.sessions_connected),
        status.subscriptions,
        member_commands::table(&group),
        table.trim_fmt(),
        failovers::tables(status),
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
            "unreceived": broker.unreceived,
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
        "sessions": status.sessions,
        "sessions_connected": status.sessions_connected,
        "subscriptions": status.subscriptions,
        "brokers": status.brokers.iter().map(broker).collect::<Vec<_>>(),
        "node": status.node,
        "group": member_commands::json(&status.group.clone().unwrap_or_default()),
        "broker_losses": failovers::losses_json(status),
        "leader_changes": failovers::changes_json(status),
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
