//! What operators are told of lost brokers.

use ha_core::{BrokerLoss, Input, LostBy};
use ha_types::link::Upstream;
use ha_types::session::{Ask, Lifetime, Open};

use crate::common::{Cluster, LEASE_MS, ask, config, durable, hello};

/// Broker `b` has clients `c` and `d`, and is lost `LEASE_MS` after its last sign.
fn lost() -> Cluster {
    let mut cluster = Cluster::new(config());
    let broker = cluster.attach("b");
    let ephemeral = Open { lifetime: Lifetime::Connection, ..durable("d", 2) };
    let opens = [(1, durable("c", 1)), (2, ephemeral)];
    cluster.say(broker, opens.map(|(number, open)| ask(number, Ask::Open(open))));
    cluster.step(Input::Broken(broker));
    cluster.wait(LEASE_MS, &[]);
    cluster
}

fn only(cluster: &Cluster) -> BrokerLoss {
    let mut losses = cluster.core.losses();
    let loss = losses.next().unwrap().clone();
    assert_eq!(losses.next(), None);
    loss
}

#[test]
fn loss_shows_how_long_the_broker_was_silent_and_when_its_clients_were_back() {
    let mut cluster = lost();
    let loss = only(&cluster);
    assert_eq!((loss.name.as_str(), loss.by), ("b", LostBy::Lease));
    assert_eq!((loss.silent_ms, loss.sessions, loss.taken_up), (LEASE_MS, 2, 0));
    let other = cluster.attach("o");
    for (number, after, client) in [(1, 200, "c"), (2, 300, "d"), (3, 0, "stranger")] {
        cluster.now = cluster.now.plus(after);
        cluster.step(Input::Tick);
        cluster.say(other, [ask(number, Ask::Open(durable(client, number)))]);
    }
    let loss = only(&cluster);
    assert_eq!((loss.taken_up, loss.first_ms, loss.last_ms), (2, Some(200), Some(500)));
}

#[test]
fn broker_that_says_goodbye_or_is_replaced_was_not_silent() {
    let mut cluster = Cluster::new(config());
    let broker = cluster.attach("b");
    cluster.say(broker, [Upstream::Leave]);
    let loss = only(&cluster);
    assert_eq!((loss.by, loss.silent_ms, loss.sessions), (LostBy::Goodbye, 0, 0));

    let mut cluster = Cluster::new(config());
    let broker = cluster.attach("b");
    cluster.say(broker, [ask(1, Ask::Open(durable("c", 1)))]);
    cluster.step(Input::Broken(broker));
    cluster.hello(hello("b", 2));
    let loss = only(&cluster);
    assert_eq!((loss.by, loss.sessions), (LostBy::Replaced, 1));
}

#[test]
fn broker_whose_lease_is_kept_is_no_loss() {
    let mut cluster = Cluster::new(config());
    let broker = cluster.attach("b");
    cluster.wait(3 * LEASE_MS, &[broker]);
    assert_eq!(cluster.core.losses().count(), 0);
}
