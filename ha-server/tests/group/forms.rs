//! A group forms, loses servers and gets them back.

use ha_member::FeatureLevel;

use crate::server::{Group, Server, until};
use tempfile::TempDir;

#[test]
fn three_servers_that_know_each_other_agree_on_a_leader() {
    let mut group = Group::start(3);
    let leader = group.leader();
    let follower = group.follower();
    let mut roles = vec![(1, "voter"), (2, "voter"), (3, "voter")];
    roles[usize::try_from(leader - 1).unwrap()].1 = "leader";
    let seen = group.server(follower).roles();
    assert_eq!(seen.iter().map(|(id, role)| (*id, role.as_str())).collect::<Vec<_>>(), roles);
    let shown = group.server(follower).told(&["leader", "show"]);
    let address = group.server(leader).address();
    assert_eq!(shown, format!("server {leader} at {address}\n"));
    let status = group.server(follower).told(&["status"]);
    assert!(status.contains("brokers are attached to the leader"), "{status}");
}

/// All members are of this version.
#[test]
fn group_uses_what_all_its_members_understand() {
    let mut group = Group::start(3);
    for id in 1..=3 {
        let server = group.server(id);
        until("it has the newest level", || {
            (server.group()?["feature_level"] == FeatureLevel::NEWEST.0).then_some(())
        });
    }
}

#[test]
fn killed_leader_is_replaced_and_comes_back_as_a_follower() {
    let mut group = Group::start(3);
    let old = group.leader();
    let other = group.follower();
    group.server(old).kill();
    let new = group.server(other).knows_leader(|leader| leader != old);
    let seen = group.server(other).group().unwrap();
    let killed = &seen["members"][usize::try_from(old - 1).unwrap()];
    assert_eq!(
        (killed["state"].as_str(), killed["role"].as_str()),
        (Some("silent"), Some("voter"))
    );
    group.server(old).start();
    assert_eq!(group.server(old).knows_leader(|_| true), new);
}

#[test]
fn leader_that_stops_hands_over_and_the_rest_goes_on() {
    let mut group = Group::start(3);
    let old = group.leader();
    let other = group.follower();
    group.server(old).stop();
    assert!(group.server(old).log().contains("handed over the lead"));
    group.server(other).knows_leader(|leader| leader != old);
}

#[test]
fn all_servers_may_be_killed_and_start_again() {
    let mut group = Group::start(3);
    let term = |group: &Group| group.servers[0].group().unwrap()["term"].as_u64().unwrap();
    group.leader();
    let before = term(&group);
    group.servers.iter_mut().for_each(Server::kill);
    group.servers.iter_mut().for_each(Server::start);
    group.leader();
    assert!(term(&group) > before);
}

#[test]
fn majority_that_is_dead_leaves_a_server_that_says_so() {
    let mut group = Group::start(3);
    let leader = group.leader();
    let follower = group.follower();
    let third = 6 - leader - follower;
    for id in [leader, third] {
        group.server(id).kill();
    }
    until("the leader is forgotten", || {
        group.server(follower).group()?["leader"].is_null().then_some(())
    });
    let server = group.server(follower);
    server.refuses(&["leader", "show"], "no leader is known");
    server.refuses(&["leader", "transfer"], "a majority of the voters must run");
}

#[test]
fn server_without_any_key_is_a_group_of_one_and_stays_one_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::new(1, &folder);
    for _ in 0..2 {
        server.start();
        server.knows_leader(|leader| leader == 1);
        assert_eq!(server.roles(), [(1, "leader".to_owned())]);
        server.kill();
    }
}

#[test]
fn lead_moves_to_the_highest_priority_also_when_that_server_starts_last() {
    let mut group = Group::start_with(3, |server| {
        server.set("LEADER_PRIORITY", if server.id == 3 { "10" } else { "0" });
    });
    until("server 3 leads", || (group.leader() == 3).then_some(()));
    group.server(3).kill();
    group.server(1).knows_leader(|leader| leader != 3);
    group.server(3).start();
    group.server(1).knows_leader(|leader| leader == 3);
}
