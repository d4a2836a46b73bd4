//! An operator ends the connection of a client, and its session.

use ha_member::FeatureLevel;
use ha_types::session::{Ask, CloseCause, Eviction, Lifetime, Progress, Tell};
use tokio::task::spawn_blocking;

use crate::lists::Asking;
use crate::server::{Group, stderr, until};
use crate::streams::attach;

#[tokio::test]
async fn client_is_ended_by_its_broker_and_the_command_waits_for_that() {
    // No heartbeats are sent.
    let mut group = Group::start_with(3, |server| server.set("LEASE", "60 s"));
    let (broker, _) = attach(&group).await;
    let mut asking = Asking::new(broker);
    let follower = group.follower();
    for (forget, why, lifetime) in [
        (None, Eviction::Kicked, None),
        (Some("--forget"), Eviction::Forgotten, Some(Lifetime::Connection)),
    ] {
        let session = asking.open("pump").await;
        let arguments = ["client", "kick", "pump"].into_iter().chain(forget).collect::<Vec<_>>();
        let mut command = group.server(follower).operator(&arguments);
        let kicking = spawn_blocking(move || command.output().unwrap());
        assert_eq!(asking.told().await, Tell::Evict { session, why });
        assert!(!kicking.is_finished(), "the connection is there");
        let (cause, progress) = (CloseCause::Failure, Progress::default());
        asking.ask(Ask::Close { session, cause, progress, lifetime });
        let output = kicking.await.unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.starts_with("disconnected client pump from broker b"), "{told}");
    }
    let server = group.server(follower);
    server.refuses(&["client", "kick", "pump"], "there is no session of client \"pump\"");
}

#[tokio::test]
async fn session_of_a_client_that_is_away_can_only_be_forgotten() {
    let mut group = Group::start_with(3, |server| server.set("LEASE", "60 s"));
    let (broker, _) = attach(&group).await;
    let mut asking = Asking::new(broker);
    let session = asking.open("pump").await;
    asking.close(session).await;
    let follower = group.follower();
    let server = group.server(follower);
    let level = FeatureLevel::FORGET.0;
    until("all members understand it", || {
        (server.group()?["feature_level"].as_u64()? >= u64::from(level)).then_some(())
    });
    server.refuses(&["client", "kick", "pump"], "client \"pump\" is not connected");
    let told = server.told(&["client", "kick", "pump", "--forget"]);
    assert_eq!(told, "ended the session of client pump, which was away\n");
    server.refuses(&["client", "kick", "pump", "--forget"], "there is no session");
}
