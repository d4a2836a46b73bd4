//! How streams begin and end.

use ha_proto::v1::{
    HeartbeatRequest, Message, Publish, UpstreamFrame, UpstreamItem, heartbeat_response::State,
    upstream_item::Item,
};
use ha_types::link::{GoodbyeReason, Hello, Upstream, VersionRange};

use crate::broker::{Broker, client, hello};
use crate::running::Running;

#[tokio::test]
async fn broker_of_an_unknown_version_is_told_both_ranges() {
    let server = Running::start().await;
    let versions = VersionRange { min: 8, max: 9 };
    let mut broker = Broker::say(&server, Hello { versions, ..hello("b") }).await;
    let goodbye = broker.goodbye().await;
    assert_eq!(goodbye.reason, GoodbyeReason::UnsupportedVersion);
    assert!(goodbye.detail.contains("1 to 1") && goodbye.detail.contains("8 to 9"), "{goodbye:?}");
    server.stop().await;
}

#[tokio::test]
async fn frame_above_the_limit_ends_the_stream_and_no_other() {
    let server = Running::start().await;
    let (mut other, _) = Broker::attach(&server, "other").await;
    let (mut broker, _) = Broker::attach(&server, "big").await;
    let message =
        Message { topic: "t".into(), payload: vec![0; 1 << 20].into(), ..Message::default() };
    let item = Item::Publish(Publish { number: 0, message: Some(message), ..Publish::default() });
    broker.send_frame(UpstreamFrame {
        items: vec![UpstreamItem { item: Some(item), more: false }],
        group: 0,
    });
    let goodbye = broker.goodbye().await;
    assert_eq!(goodbye.reason, GoodbyeReason::ProtocolError);
    assert!(goodbye.detail.contains("1048576"), "the limit in bytes: {goodbye:?}");
    other.subscribe("still/#").await;
    server.stop().await;
}

#[tokio::test]
async fn item_of_unknown_kind_is_a_protocol_error() {
    let server = Running::start().await;
    let (mut broker, _) = Broker::attach(&server, "b").await;
    broker.send_frame(UpstreamFrame {
        items: vec![UpstreamItem { item: None, more: false }],
        group: 0,
    });
    assert_eq!(broker.goodbye().await.reason, GoodbyeReason::ProtocolError);
    server.stop().await;
}

#[tokio::test]
async fn goodbye_ends_the_stream_and_frees_the_name_at_once() {
    let server = Running::start().await;
    let (mut broker, first) = Broker::attach(&server, "b").await;
    broker.send([Upstream::Leave]);
    assert_eq!(broker.next_or_end().await.unwrap(), None);
    let incarnation = ha_types::Incarnation(2);
    let mut broker = Broker::say(&server, Hello { incarnation, ..hello("b") }).await;
    let ha_types::link::Downstream::Welcome(second) = broker.next().await else { panic!() };
    assert!(second.epoch > first.epoch);
    server.stop().await;
}

#[tokio::test]
async fn stream_that_ends_without_goodbye_frees_nothing() {
    let server = Running::start().await;
    let (mut broker, welcome) = Broker::attach(&server, "b").await;
    broker.half_close();
    assert_eq!(broker.next_or_end().await.unwrap(), None);
    let requests =
        tokio_stream::iter([HeartbeatRequest { epoch: welcome.epoch.0, sequence: 1, duty: 0 }]);
    let mut answers = client(&server).await.heartbeat(requests).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().state(), State::Kept);
    server.stop().await;
}

#[tokio::test]
async fn heartbeat_of_an_epoch_that_is_not_attached_is_fenced() {
    let server = Running::start().await;
    let (_broker, welcome) = Broker::attach(&server, "b").await;
    let beat = |epoch| HeartbeatRequest { epoch, sequence: 5, duty: 0 };
    let requests = tokio_stream::iter([beat(welcome.epoch.0), beat(welcome.epoch.0 + 1)]);
    let answers = client(&server).await.heartbeat(requests).await.unwrap();
    let mut answers = answers.into_inner();
    let kept = answers.message().await.unwrap().unwrap();
    assert_eq!((kept.state(), kept.sequence), (State::Kept, 5));
    assert_eq!(answers.message().await.unwrap().unwrap().state(), State::Fenced);
    server.stop().await;
}

#[tokio::test]
async fn shutdown_says_goodbye_to_attached_and_to_silent_brokers() {
    let server = Running::start().await;
    let (mut attached, _) = Broker::attach(&server, "b").await;
    let mut silent = Broker::silent(&server).await;
    server.stop().await;
    assert_eq!(attached.goodbye().await.reason, GoodbyeReason::ShuttingDown);
    assert_eq!(silent.goodbye().await.reason, GoodbyeReason::ShuttingDown);
}

#[tokio::test]
async fn second_server_on_the_same_port_is_told_so_in_one_sentence() {
    let server = Running::start().await;
    let error = ha_shell::bind::bind(server.address, "HA_port").await.unwrap_err().to_string();
    assert!(error.contains("in use") && error.contains("HA_port"), "{error}");
    server.stop().await;
}
