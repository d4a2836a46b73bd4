//! A group of one in this process, and a broker at its stream.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::Path;

use ha_member::alone::{Alone, AloneConfig, AloneError, HeartbeatAnswer, Pipe};
use ha_member::{Durability, StateLimits, Strategies};
use ha_node::StartError;
use ha_types::link::{Downstream, Hello, PROTOCOL_VERSIONS, RetainedUse, Upstream};
use ha_types::{BrokerEpoch, BrokerName, Incarnation};

async fn try_start(dir: &Path) -> Result<Alone, AloneError> {
    let config = AloneConfig {
        data_dir: dir.to_owned(),
        durability: Durability::Memory,
        limits: StateLimits::default(),
        strategies: Strategies::default(),
        filters_max: 100,
        software: "test".to_owned(),
    };
    Alone::start(config).await
}

/// After the last one was dropped, whose tasks may have to end first.
async fn start_again(dir: &Path) -> Alone {
    loop {
        match try_start(dir).await {
            Err(AloneError::Node(StartError::InUse { .. })) => tokio::task::yield_now().await,
            started => return started.unwrap(),
        }
    }
}

/// Opens a stream and says Hello; the epoch that the Welcome says.
async fn attach(alone: &Alone, incarnation: u64) -> (Pipe, BrokerEpoch) {
    let mut pipe = alone.open().await.unwrap();
    let hello = Hello {
        versions: PROTOCOL_VERSIONS,
        name: BrokerName::parse("b").unwrap(),
        incarnation: Incarnation(incarnation),
        software: String::new(),
        retained: RetainedUse::None,
    };
    pipe.up.items(vec![Upstream::Hello(hello)]).await.unwrap();
    let (item, bytes) = pipe.down.items.recv().await.unwrap();
    pipe.up.written(bytes).await.unwrap();
    let Downstream::Welcome(welcome) = item else { panic!("{item:?}") };
    (pipe, welcome.epoch)
}

#[tokio::test]
async fn broker_attaches_and_keeps_its_epoch_over_streams_and_not_over_runs() {
    let dir = tempfile::tempdir().unwrap();
    let alone = try_start(dir.path()).await.unwrap();
    let (pipe, epoch) = attach(&alone, alone.incarnation().0).await;
    assert!(matches!(alone.heartbeat(epoch).await, Ok((HeartbeatAnswer::Kept, 1..))));
    drop(pipe);
    let (pipe, again) = attach(&alone, alone.incarnation().0).await;
    assert_eq!(again, epoch);
    let first = alone.incarnation();
    drop(pipe);
    alone.shut_down().await.unwrap();
    drop(alone);

    let alone = start_again(dir.path()).await;
    assert!(alone.incarnation() > first);
    let (_pipe, next) = attach(&alone, alone.incarnation().0).await;
    assert!(next > epoch);
    assert!(matches!(alone.heartbeat(epoch).await, Ok((HeartbeatAnswer::Fenced, _))));
}

#[tokio::test]
async fn stream_ends_when_the_broker_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let alone = try_start(dir.path()).await.unwrap();
    let (mut pipe, _) = attach(&alone, 1).await;
    pipe.up.items(vec![Upstream::Leave]).await.unwrap();
    while pipe.down.items.recv().await.is_some() {}
}

#[tokio::test]
async fn directory_has_one_user_and_a_file_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let alone = try_start(dir.path()).await.unwrap();
    let error = try_start(dir.path()).await.unwrap_err();
    assert!(matches!(error, AloneError::Node(StartError::InUse { .. })), "{error}");
    drop(alone);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = try_start(&file).await.unwrap_err();
    assert!(matches!(error, AloneError::Node(StartError::Io { .. })), "{error}");
    start_again(dir.path()).await;
}
