//! Share groups whose members are on different brokers, one of which dies.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::{
    Client, Cluster, Version,
    wait::{self, LONG},
};

const GROUP: &str = "$share/workers/jobs/+";
const MEMBERS: usize = 3;
const MESSAGES: usize = 300;

/// A cluster with a member of the group on each of three brokers, and a publisher on the first.
fn cluster() -> (Cluster, Vec<Client>, Client) {
    let cluster = Cluster::start(MEMBERS);
    let member = |broker| {
        let mut client = Client::connect(cluster.port(broker), Version::V5, &format!("m{broker}"));
        client.subscribe(GROUP, 1);
        client
    };
    let members = (0..MEMBERS).map(member).collect();
    let publisher = Client::connect(cluster.port(0), Version::V311, "publisher");
    (cluster, members, publisher)
}

fn publish(publisher: &mut Client, numbers: std::ops::Range<usize>) {
    for number in numbers {
        publisher.stream(&format!("jobs/{}", number % 7), number.to_string().as_bytes(), 1, 50);
    }
    publisher.drain();
}

/// How often each number came, and how many came to each of these members.
fn received(members: &mut [Client], expected: usize) -> (BTreeMap<usize, usize>, Vec<usize>) {
    let (mut all, mut each) = (BTreeMap::new(), vec![0; members.len()]);
    wait::until(&format!("{expected} messages came"), LONG, || {
        for (member, count) in members.iter_mut().zip(&mut each) {
            while let Some(message) = member.receive(Duration::from_millis(100)) {
                let number = String::from_utf8_lossy(&message.payload).parse();
                *all.entry(number.expect("ours are numbers")).or_insert(0) += 1;
                *count += 1;
            }
        }
        (all.len() >= expected).then_some(())
    });
    (all, each)
}

#[test]
fn members_on_all_brokers_share_the_messages_evenly() {
    let (_cluster, mut members, mut publisher) = cluster();
    publish(&mut publisher, 0..MESSAGES);
    let (all, each) = received(&mut members, MESSAGES);
    assert_eq!((all.len(), all.values().max()), (MESSAGES, Some(&1)), "each once");
    let share = MESSAGES / MEMBERS;
    assert!(each.iter().all(|count| count.abs_diff(share) * 10 <= share), "{each:?}");
}

#[test]
fn what_a_member_of_a_dead_broker_did_not_acknowledge_goes_to_others() {
    let (mut cluster, mut members, mut publisher) = cluster();
    // The last one reads nothing.
    publish(&mut publisher, 0..60);
    let (before, _) = received(&mut members[..2], 40);
    assert_eq!(before.len(), 40);
    cluster.brokers[2].kill();
    let (after, _) = received(&mut members[..2], 20);
    assert_eq!(before.keys().chain(after.keys()).count(), 60, "{before:?} {after:?}");
    assert!(after.keys().all(|number| !before.contains_key(number)), "each goes to one");
}
