//! Members come and go while the group runs.

use tempfile::TempDir;

use crate::server::{Group, Server, until};

/// A server that waits to be added.
fn newcomer(id: u64, folder: &TempDir) -> Server {
    let mut server = Server::new(id, folder);
    server.set("JOIN", "YES");
    server.start();
    until("it answers", || server.group());
    server
}

fn named(server: &Server) -> String {
    format!("{}@{}", server.id, server.address())
}

#[test]
fn one_server_becomes_three_which_survive_the_first() {
    let folder = TempDir::new().unwrap();
    let mut first = Server::new(1, &folder);
    first.start();
    first.knows_leader(|leader| leader == 1);
    let others = [newcomer(2, &folder), newcomer(3, &folder)];
    for other in &others {
        first.told(&["member", "add", &named(other)]);
    }
    assert_eq!(first.roles(), [(1, "leader".into()), (2, "learner".into()), (3, "learner".into())]);
    first.refuses(&["member", "promote", "2"], "2 voters would survive no more losses than 1");
    // Any member takes the command, as soon as it has heard who leads.
    others[0].knows_leader(|leader| leader == 1);
    others[0].told(&["member", "promote", "2", "3"]);
    assert_eq!(first.roles(), [(1, "leader".into()), (2, "voter".into()), (3, "voter".into())]);
    first.kill();
    others[0].knows_leader(|leader| leader != 1);
}

#[test]
fn dead_member_is_replaced_in_one_step_and_three_become_one() {
    let mut group = Group::start(3);
    let leader = group.leader();
    let dead = group.follower();
    group.server(dead).kill();
    let newcomer = newcomer(4, &group.folder);
    let asked = group.server(leader);
    asked.told(&["member", "add", &named(&newcomer)]);
    asked.told(&["member", "promote", "4", "--replace", &dead.to_string()]);
    let roles = asked.roles();
    assert_eq!(roles.len(), 3, "{roles:?}");
    assert_eq!(roles.last(), Some(&(4, "voter".to_owned())));
    let third = (6 - leader - dead).to_string();
    asked.refuses(&["member", "remove", &third], "2 voters would survive no more losses than 1");
    asked.told(&["member", "remove", &third, "4"]);
    assert_eq!(asked.roles(), [(leader, "leader".to_owned())]);
    asked.refuses(&["member", "remove", &leader.to_string()], "the last voter stays");
}

#[test]
fn lead_is_handed_over_to_whom_the_operator_names() {
    let mut group = Group::start(3);
    let old = group.leader();
    let to = group.follower();
    let third = 6 - old - to;
    let asked = group.server(third);
    asked.told(&["leader", "transfer", &to.to_string()]);
    asked.knows_leader(|leader| leader == to);
    asked.refuses(&["leader", "transfer", "9"], "server 9 is not a member");
    asked.refuses(&["leader", "transfer", &to.to_string()], "leads already");
}

#[test]
fn server_that_is_not_what_its_operator_believes_is_not_added() {
    let folder = TempDir::new().unwrap();
    let mut first = Server::new(1, &folder);
    first.start();
    first.knows_leader(|leader| leader == 1);
    let mut other = Server::new(2, &folder);
    other.set("CLUSTER", "other");
    other.set("JOIN", "YES");
    other.start();
    until("it answers", || other.group());
    first.refuses(&["member", "add", &named(&other)], "belongs to cluster \"other\"");
    let third = newcomer(3, &folder);
    let wrong = format!("4@{}", third.address());
    first.refuses(&["member", "add", &wrong], "has NODE_ID = 3, not 4");
    first.refuses(&["member", "add", "4@127.0.0.1:1"], "server 4 does not answer at 127.0.0.1:1");
    assert_eq!(first.roles(), [(1, "leader".to_owned())]);
}

#[test]
fn member_that_moved_is_reached_at_its_new_address() {
    let mut group = Group::start(3);
    let leader = group.leader();
    let moved = group.follower();
    group.server(moved).kill();
    let spare = Server::new(9, &group.folder);
    let server = group.server(moved);
    server.port = spare.port;
    server.set("HA_port", &spare.port.to_string());
    server.start();
    until("it answers", || server.group());
    let named = named(server);
    group.server(leader).told(&["member", "add", &named]);
    assert_eq!(group.server(moved).knows_leader(|_| true), leader);
}
