//! Who comes in: what the judge is told, and what the client is.

use std::sync::Arc;
use std::time::Duration;

use rumqttd_host::{CertificateSubject, HostConfig, Origin, Phase};
use tokio::io::duplex;
use tokio::sync::Notify;

use crate::support::client::Client;
use crate::support::door::Door;
use crate::support::packets::{connect_as, connect_v5};
use crate::support::{Answering, Broker};

async fn broker(door: Arc<Door>) -> Broker {
    Broker::with_admission(HostConfig::default(), Answering::Plugin(Vec::new()), door).await
}

#[tokio::test]
async fn judge_is_told_what_connect_and_listener_say() {
    let door = Door::open();
    let broker = broker(Arc::clone(&door)).await;
    let certificate =
        CertificateSubject { common_name: Some("device".into()), subject: "CN=device".into() };
    let origin = Origin { peer: ([192, 0, 2, 7], 1883).into(), certificate: Some(certificate) };
    let (ours, theirs) = duplex(1_024);
    broker.serve(theirs, origin.clone());
    let mut client = Client::over(ours);
    client.send(&connect_as(5, "user", "secret")).await;
    client.read_type(2).await;
    let mut anonymous = broker.socket().await;
    anonymous.send(&connect_v5("", 2, &[])).await;
    anonymous.read_type(2).await;
    let [first, second] = &door.seen()[..] else { panic!() };
    assert_eq!((&*first.client_id, first.user_name.as_deref()), ("client", Some("user")));
    assert_eq!(first.password.as_deref(), Some(&b"secret"[..]));
    assert_eq!(first.origin, origin);
    assert!(second.client_id.starts_with("auto-"), "{second:?}");
    assert_eq!((&second.user_name, &second.password), (&None, &None));
    assert!(second.origin.peer.ip().is_loopback());
}

#[tokio::test]
async fn each_verdict_has_its_connack_in_each_version() {
    let config = HostConfig { admit_timeout: Duration::from_millis(50), ..HostConfig::default() };
    let answering = Answering::Plugin(Vec::new());
    let broker = Broker::with_admission(config, answering, Door::open()).await;
    let cases = [("bad", 0x86, 4), ("forbidden", 0x87, 5), ("busy", 0x89, 3), ("slow", 0x89, 3)];
    for (user_name, reason, code) in cases {
        let mut v5 = broker.socket().await;
        v5.send(&connect_as(5, user_name, "p")).await;
        v5.expect(&[0x20, 3, 0, reason, 0]).await;
        v5.must_be_closed().await;
        let mut v4 = broker.socket().await;
        v4.send(&connect_as(4, user_name, "p")).await;
        v4.expect(&[0x20, 2, 0, code]).await;
        v4.must_be_closed().await;
    }
    broker.must_still_serve().await;
}

#[tokio::test]
async fn client_that_is_refused_does_not_take_over() {
    let broker = broker(Door::open()).await;
    let mut client = broker.v5("client").await;
    let mut intruder = broker.socket().await;
    intruder.send(&connect_as(5, "bad", "guess")).await;
    intruder.expect(&[0x20, 3, 0, 0x86, 0]).await;
    client.send(&[0xC0, 0]).await;
    client.expect(&[0xD0, 0]).await;
}

/// It is not among the connections that the host tells to end.
#[tokio::test]
async fn client_that_is_admitted_while_the_host_stops_is_told_goodbye() {
    let judged = Arc::new(Notify::new());
    let door = Door::that_waits_for(Arc::clone(&judged));
    let broker = broker(Arc::clone(&door)).await;
    let mut client = broker.socket().await;
    client.send(&connect_as(5, "user", "p")).await;
    door.asked().await;
    let mut phase = broker.host.entrance().phase();
    let late = async {
        phase.wait_for(|phase| *phase == Phase::Stopped).await.unwrap();
        judged.notify_one();
        client.read_type(2).await;
        client.must_be_disconnected(0x8B).await;
        drop(client);
    };
    tokio::join!(broker.host.shutdown(Duration::from_secs(5)), late);
    assert_eq!(broker.host.stats().connections, 0);
}
