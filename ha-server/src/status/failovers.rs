//! The last failovers with their measured times.

use comfy_table::{Table, presets::NOTHING};
use ha_proto::v1::broker_loss::Reason;
use ha_proto::v1::{BrokerLoss, LeaderChange, StatusResponse};
use serde_json::{Value, json};

/// Each with a line before it; nothing where nothing happened.
pub(super) fn tables(status: &StatusResponse) -> String {
    let mut text = String::new();
    if !status.broker_losses.is_empty() {
        let header =
            ["LOST BROKER", "AT", "REASON", "SILENT", "SESSIONS", "TAKEN UP", "FROM", "TO"];
        let rows = status.broker_losses.iter().map(loss_row);
        text += &format!("\n{}\n", table(header, rows));
    }
    if !status.leader_changes.is_empty() {
        let header = ["LEADER CHANGE", "TERM", "FROM", "TO", "NOTHING APPLIED FOR"];
        let rows = status.leader_changes.iter().map(change_row);
        text += &format!("\n{}\n", table(header, rows));
    }
    text
}

fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header).add_rows(rows);
    table.trim_fmt()
}

fn ms(ms: u64) -> String {
    format!("{ms} ms")
}

fn loss_row(loss: &BrokerLoss) -> [String; 8] {
    let after = |after: Option<u64>| after.map_or_else(|| "-".to_owned(), ms);
    [
        loss.name.clone(),
        utc(loss.at_ms),
        reason(loss).to_owned(),
        ms(loss.silent_ms),
        loss.sessions.to_string(),
        loss.taken_up.to_string(),
        after(loss.first_ms),
        after(loss.last_ms),
    ]
}

fn change_row(change: &LeaderChange) -> [String; 5] {
    [
        utc(change.at_ms),
        change.term.to_string(),
        format!("server {}", change.from),
        format!("server {}", change.to),
        ms(change.gap_ms),
    ]
}

fn reason(loss: &BrokerLoss) -> &'static str {
    match loss.reason() {
        Reason::Lease => "lease",
        Reason::Goodbye => "goodbye",
        Reason::Replaced => "replaced",
        Reason::Unspecified => "unknown",
    }
}

pub(super) fn losses_json(status: &StatusResponse) -> Value {
    let one = |loss: &BrokerLoss| {
        json!({
            "broker": loss.name,
            "epoch": loss.epoch,
            "at": utc(loss.at_ms),
            "at_ms": loss.at_ms,
            "reason": reason(loss),
            "silent_ms": loss.silent_ms,
            "sessions": loss.sessions,
            "taken_up": loss.taken_up,
            "first_ms": loss.first_ms,
            "last_ms": loss.last_ms,
        })
    };
    status.broker_losses.iter().map(one).collect()
}

pub(super) fn changes_json(status: &StatusResponse) -> Value {
    let one = |change: &LeaderChange| {
        json!({
            "at": utc(change.at_ms),
            "at_ms": change.at_ms,
            "term": change.term,
            "from": change.from,
            "to": change.to,
            "gap_ms": change.gap_ms,
        })
    };
    status.leader_changes.iter().map(one).collect()
}

/// Days of 400 years, and of 1970 since the first of March of the year 0.
const ERA_DAYS: u64 = 146_097;
const EPOCH_DAY: u64 = 719_468;

/// The time in UTC, from milliseconds since 1970. Years begin in March here, so that the leap day is last.
fn utc(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000 + EPOCH_DAY, unix_ms % 86_400_000);
    let (era, day) = (days / ERA_DAYS, days % ERA_DAYS);
    let year = (day - day / 1_460 + day / 36_524 - day / (ERA_DAYS - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_704_067_199_000, "2023-12-31T23:59:59.000Z"),
            (1_767_225_600_001, "2026-01-01T00:00:00.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(unix_ms), text);
        }
        assert!(utc(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn tables_show_the_measured_times_and_nothing_where_nothing_happened() {
        assert_eq!(tables(&StatusResponse::default()), "");
        let loss = BrokerLoss {
            name: "b".into(),
            reason: Reason::Lease.into(),
            silent_ms: 1_003,
            sessions: 7,
            taken_up: 1,
            first_ms: Some(412),
            ..BrokerLoss::default()
        };
        let change = LeaderChange { from: 1, to: 2, gap_ms: 287, ..LeaderChange::default() };
        let (broker_losses, leader_changes) = (vec![loss], vec![change]);
        let text =
            tables(&StatusResponse { broker_losses, leader_changes, ..StatusResponse::default() });
        for part in ["lease", "1003 ms", "412 ms", "server 2", "287 ms"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
