//! What an operator sees and does: lists, kick, access log.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use e2e::{Client, Cluster, Outcome, Program, Raw, TemporaryFolder, Version, wait};
use serde_json::Value;

fn told(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = cluster.servers[0].tell(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn listed(cluster: &Cluster, arguments: &[&str]) -> Value {
    cluster.servers[0].ask(arguments)
}

#[test]
fn clients_of_all_brokers_are_listed_and_ended_from_the_server() {
    let cluster = Cluster::start(2);
    let mut five = Client::connect(cluster.port(0), Version::V5, "five");
    let mut three = Raw::connect(cluster.port(1), "three");
    three.subscribe("plant/#", 1);
    five.retain("plant/state", "up", 1);

    let clients = listed(&cluster, &["clients", "--broker", "broker-2"]);
    assert_eq!(clients["clients"].as_array().unwrap().len(), 1);
    assert_eq!(clients["clients"][0]["client_id"], "three");
    let subscriptions = listed(&cluster, &["subscriptions"]);
    assert_eq!(subscriptions["subscriptions"][0]["filter"], "plant/#");
    let retained = listed(&cluster, &["retained", "--find", "+/state"]);
    assert_eq!(retained["retained"][0]["bytes"], 2);

    let said = told(&cluster, &["client", "kick", "five"]);
    assert_eq!(said, "disconnected client five from broker broker-1\n");
    assert_eq!(five.publish_outcome("t", b"x", 1), Outcome::Disconnected(0x98));
    told(&cluster, &["client", "kick", "three"]);
    // Its session waits for it, until it is to be forgotten.
    assert!(Raw::connect(cluster.port(0), "three").session_present);
    wait::until("it is away", wait::LONG, || {
        let sessions = listed(&cluster, &["sessions", "--find", "three"]);
        (sessions["sessions"][0]["connected"] == false).then_some(())
    });
    told(&cluster, &["client", "kick", "three", "--forget"]);
    assert!(!Raw::connect(cluster.port(0), "three").session_present);
    let nobody = cluster.servers[0].tell(&["client", "kick", "nobody"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("there is no session"));
}

/// A client whose identifier would make a line of its own.
const FORGING: &str = "pump\nINFO access: connected";

fn lines(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("access")).collect()
}

fn logging(format: &str, folder: &TemporaryFolder) -> Program {
    let mut broker = Program::broker("broker", folder.path());
    broker.set("CONFIG.ACCESS_LOG", "YES");
    broker.argument(&format!("--log-format={format}"));
    broker.start_ready();
    let mut client = Client::connect(broker.port.number(), Version::V5, FORGING);
    client.subscribe("a/#", 1);
    client.publish("a/b", "x", 1);
    drop(client);
    broker.wait_log("disconnected", wait::LONG);
    broker
}

#[test]
fn access_log_tells_who_came_subscribed_and_went_in_lines_that_cannot_be_forged() {
    let folder = TemporaryFolder::new();
    let mut broker = logging("json", &folder);
    let log = broker.log();
    let lines: Vec<Value> =
        lines(&log).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["connected", "subscribed", "disconnected"]);
    for line in &lines {
        assert_eq!((&line["client"], &line["broker"]), (&FORGING.into(), &"broker".into()));
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    }
    assert_eq!((&lines[0]["version"], &lines[0]["listener"]), (&"5.0".into(), &"PORT_NO".into()));
    assert_eq!((&lines[0]["keep_alive_s"], &lines[0]["clean_start"]), (&60.into(), &true.into()));
    assert_eq!(lines[1]["filters"], "\"a/#\":1");
    assert_eq!((&lines[2]["messages_in"], &lines[2]["messages_out"]), (&1.into(), &1.into()));
}

#[test]
fn access_log_as_text_has_one_line_for_each_thing() {
    let folder = TemporaryFolder::new();
    let mut broker = logging("text", &folder);
    let log = broker.log();
    let lines = lines(&log);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains(r"pump\nINFO access: connected")), "{lines:#?}");
}

#[test]
fn access_log_tells_who_was_refused_and_is_silent_unless_it_is_wanted() {
    let folder = TemporaryFolder::new();
    for (wanted, count) in [("YES", 1), ("NO", 0)] {
        let name = format!("broker-{wanted}");
        let mut broker = Program::broker(&name, folder.path());
        broker.set("AUTHENTICATION.ALLOW_ANONYMOUS", "NO");
        broker.set("CONFIG.ACCESS_LOG", wanted);
        broker.start_ready();
        let refused = Client::try_connect(broker.port.number(), Version::V311, "stranger");
        assert!(refused.is_err());
        // What it logged is written when it has stopped.
        broker.stop();
        let log = broker.log();
        let refused: Vec<_> = log.lines().filter(|line| line.contains("stranger")).collect();
        assert_eq!(refused.len(), count, "{log}");
        assert!(refused.iter().all(|line| line.contains("refused")), "{refused:?}");
    }
}
