//! Brokers that an operator tells to let their clients go.

use ha_core::{DrainOrder, DrainRefusal};
use ha_types::link::{Downstream, Duty};

use crate::common::{Cluster, config};

#[test]
fn broker_that_knows_how_to_drain_is_told_and_says_so_itself() {
    let mut cluster = Cluster::new(config());
    let a = cluster.attach("a");
    cluster.say_duty(a, Duty::Serves);
    cluster.read(a);
    assert_eq!(cluster.order("a", DrainOrder::Drain(Some(7))), Ok(()));
    assert_eq!(cluster.read(a), [Downstream::Drain { per_second: Some(7) }]);
    assert!(!cluster.view("a").is_draining, "it has not said so");
    cluster.say_duty(a, Duty::Drains);
    assert!(cluster.view("a").is_draining);
    assert_eq!(cluster.order("a", DrainOrder::Undrain), Ok(()));
    assert_eq!(cluster.read(a), [Downstream::Undrain]);
    cluster.say_duty(a, Duty::Serves);
    assert!(!cluster.view("a").is_draining);
}

#[test]
fn broker_of_an_older_version_is_never_sent_what_it_does_not_know() {
    let mut cluster = Cluster::new(config());
    let a = cluster.attach("a");
    cluster.say_duty(a, Duty::Unknown);
    cluster.read(a);
    assert_eq!(cluster.order("a", DrainOrder::Drain(None)), Err(DrainRefusal::TooOld));
    assert_eq!(cluster.read(a), []);
}

#[test]
fn broker_that_is_not_there_cannot_be_told() {
    let mut cluster = Cluster::new(config());
    assert_eq!(cluster.order("a", DrainOrder::Drain(None)), Err(DrainRefusal::Unknown));
    let a = cluster.attach("a");
    cluster.say_duty(a, Duty::Serves);
    cluster.step(ha_core::Input::Broken(a));
    assert_eq!(cluster.order("a", DrainOrder::Drain(None)), Err(DrainRefusal::NotAttached));
}

#[test]
fn new_leader_learns_from_a_heartbeat_that_a_broker_drains() {
    let mut cluster = Cluster::new(config());
    let a = cluster.attach("a");
    cluster.say_duty(a, Duty::Drains);
    cluster.change_leader();
    assert!(!cluster.view("a").is_draining);
    let a = cluster.attach("a");
    cluster.say_duty(a, Duty::Drains);
    assert!(cluster.view("a").is_draining);
}
