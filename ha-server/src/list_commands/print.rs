//! Lists as tables and as JSON.

use comfy_table::{Table, presets::NOTHING};
use ha_proto::v1::{RetainedStatus, SessionStatus, SubscriptionStatus};
use ha_shell::program::print;
use serde_json::{Value, json};

use super::Found;
use crate::cli::OutputForm;

/// Texts of clients may hold anything: a terminal shows control characters, and does not obey them.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            letter if letter.is_control() => shown.extend(letter.escape_default()),
            letter => shown.push(letter),
        }
    }
    shown
}

fn seconds(ms: u64) -> String {
    format!("{} s", ms.div_ceil(1_000))
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

fn print_found<T, const COLUMNS: usize>(
    (found, output): (&Found<T>, OutputForm),
    (name, header): (&str, [&str; COLUMNS]),
    row: impl Fn(&T) -> [String; COLUMNS],
    json: impl Fn(&T) -> Value,
) {
    if output == OutputForm::Json {
        let items: Vec<_> = found.items.iter().map(json).collect();
        return print(&format!("{:#}", json!({ name: items, "more": found.more })));
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header).add_rows(found.items.iter().map(row));
    print(&table.trim_fmt());
    if found.more {
        print(&format!(
            "More than {} {name}: --limit N shows more, --limit all everything.",
            found.limit
        ));
    }
}

fn kind(session: &SessionStatus) -> &'static str {
    if session.durable { "durable" } else { "ephemeral" }
}

pub(super) fn clients(found: &Found<SessionStatus>, output: OutputForm) {
    let header = ["CLIENT", "BROKER", "SESSION", "SUBSCRIPTIONS", "QUEUED"];
    let row = |of: &SessionStatus| {
        [
            shown(&of.client_id),
            of.broker.clone(),
            kind(of).to_owned(),
            of.subscriptions.to_string(),
            of.waiting.to_string(),
        ]
    };
    print_found((found, output), ("clients", header), row, session_json);
}

pub(super) fn sessions(found: &Found<SessionStatus>, output: OutputForm) {
    let header = ["CLIENT", "STATE", "EPOCH", "SUBSCRIPTIONS", "QUEUED", "EXCHANGES", "WILL"];
    let row = |of: &SessionStatus| {
        [
            shown(&of.client_id),
            state(of),
            of.session_epoch.to_string(),
            of.subscriptions.to_string(),
            of.waiting.to_string(),
            of.exchanges.to_string(),
            yes(of.will),
        ]
    };
    print_found((found, output), ("sessions", header), row, session_json);
}

fn state(session: &SessionStatus) -> String {
    match (session.broker.as_str(), session.ends_in_ms) {
        ("", Some(ms)) => format!("away, expires in {}", seconds(ms)),
        ("", None) => "away".to_owned(),
        (broker, _) => format!("connected on {broker}"),
    }
}

fn session_json(of: &SessionStatus) -> Value {
    json!({
        "client_id": of.client_id,
        "connected": !of.broker.is_empty(),
        "broker": (!of.broker.is_empty()).then_some(&of.broker),
        "durable": of.durable,
        "session": of.session,
        "session_epoch": of.session_epoch,
        "expiry_seconds": of.expiry_s,
        "ends_in_ms": of.ends_in_ms,
        "subscriptions": of.subscriptions,
        "queued": of.waiting,
        "exchanges": of.exchanges,
        "will": of.will,
    })
}

pub(super) fn subscriptions(found: &Found<SubscriptionStatus>, output: OutputForm) {
    let header = ["CLIENT", "FILTER", "QOS", "SHARE", "OPTIONS"];
    let row = |of: &SubscriptionStatus| {
        let share = if of.share_name.is_empty() { "-".to_owned() } else { shown(&of.share_name) };
        [shown(&of.client_id), shown(&of.filter), of.qos.to_string(), share, options(of)]
    };
    let json = |of: &SubscriptionStatus| {
        json!({
            "client_id": of.client_id,
            "filter": of.filter,
            "share_name": (!of.share_name.is_empty()).then_some(&of.share_name),
            "qos": of.qos,
            "no_local": of.no_local,
            "retain_as_published": of.retain_as_published,
            "retain_handling": of.retain_handling,
            "subscription_id": (of.subscription_id != 0).then_some(of.subscription_id),
        })
    };
    print_found((found, output), ("subscriptions", header), row, json);
}

/// Those that are not what 3.1.1 has.
fn options(of: &SubscriptionStatus) -> String {
    let mut options = Vec::new();
    options.extend(of.no_local.then(|| "no local".to_owned()));
    options.extend(of.retain_as_published.then(|| "retain as published".to_owned()));
    match of.retain_handling {
        1 => options.push("retained if new".to_owned()),
        2 => options.push("no retained".to_owned()),
        _ => (),
    }
    options.extend((of.subscription_id != 0).then(|| format!("id {}", of.subscription_id)));
    if options.is_empty() { "-".to_owned() } else { options.join(", ") }
}

pub(super) fn retained(found: &Found<RetainedStatus>, output: OutputForm) {
    let header = ["TOPIC", "QOS", "BYTES", "EXPIRES IN"];
    let row = |of: &RetainedStatus| {
        let expires = of.expires_in_ms.map_or_else(|| "never".to_owned(), seconds);
        [shown(&of.topic), of.qos.to_string(), of.bytes.to_string(), expires]
    };
    let json = |of: &RetainedStatus| {
        json!({
            "topic": of.topic,
            "qos": of.qos,
            "bytes": of.bytes,
            "expires_in_ms": of.expires_in_ms,
        })
    };
    print_found((found, output), ("retained", header), row, json);
}

pub(super) fn kicked(client_id: &str, broker: &str, forget: bool) {
    let id = shown(client_id);
    match (broker, forget) {
        ("", _) => print(&format!("ended the session of client {id}, which was away")),
        (broker, false) => print(&format!("disconnected client {id} from broker {broker}")),
        (broker, true) => {
            print(&format!("disconnected client {id} from broker {broker} and ended its session"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_clients_do_not_reach_the_terminal() {
        assert_eq!(shown("a\u{1b}[31m\nb é"), "a\\u{1b}[31m\\nb é");
    }

    #[test]
    fn state_says_where_a_client_is_or_how_long_its_session_is_kept() {
        let away = SessionStatus { ends_in_ms: Some(59_001), ..SessionStatus::default() };
        assert_eq!(state(&away), "away, expires in 60 s");
        assert_eq!(state(&SessionStatus::default()), "away");
        let broker = SessionStatus { broker: "b1".into(), ..SessionStatus::default() };
        assert_eq!(state(&broker), "connected on b1");
    }
}
