//! What a status shows of failovers.

use serde_json::Value;

use crate::lists::Asking;
use crate::server::{Group, Server, until};
use crate::streams::attach;

fn status(server: &Server) -> Value {
    serde_json::from_str(&server.told(&["status", "--output", "json"])).unwrap()
}

#[test]
fn change_of_the_lead_is_shown_with_its_time_by_the_new_leader() {
    let mut group = Group::start(3);
    let old = group.leader();
    let other = group.follower();
    group.server(old).kill();
    let new = group.server(other).knows_leader(|leader| leader != old);
    let server = group.server(new);
    let change = until("the change is over", || {
        status(server)["leader_changes"].as_array().unwrap().last().cloned()
    });
    assert_eq!((change["from"].as_u64(), change["to"].as_u64()), (Some(old), Some(new)));
    // Nobody stands for election before that is over.
    assert!(change["gap_ms"].as_u64().unwrap() > 50, "{change}");
    assert!(server.told(&["status"]).contains("NOTHING APPLIED FOR"));
}

#[tokio::test]
async fn lost_broker_is_shown_with_its_silence_and_when_its_clients_were_back() {
    // It sends no heartbeats.
    let mut group = Group::start_with(3, |server| server.set("LEASE", "1500ms"));
    let (broker, _) = attach(&group).await;
    Asking::new(broker).open("pump").await;
    let leader = group.leader();
    let server = group.server(leader);
    let lost =
        |server: &Server| status(server)["broker_losses"].as_array().unwrap().first().cloned();
    let loss = until("the broker is lost", || lost(server));
    assert_eq!((&loss["broker"], &loss["reason"]), (&"b".into(), &"lease".into()));
    assert_eq!((loss["sessions"].as_u64(), loss["taken_up"].as_u64()), (Some(1), Some(0)));
    assert!(loss["silent_ms"].as_u64().unwrap() >= 1_500, "{loss}");
    let (broker, _) = attach(&group).await;
    let mut asking = Asking::new(broker);
    asking.open("pump").await;
    let loss = lost(group.server(leader)).unwrap();
    assert_eq!(loss["taken_up"].as_u64(), Some(1));
    assert_eq!(loss["first_ms"], loss["last_ms"]);
}
