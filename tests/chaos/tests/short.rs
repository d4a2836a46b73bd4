//! The short form: what must hold on every machine that runs the tests, in seconds.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod programs;

use std::time::Duration;

use chaos::report::Report;
use chaos::schedule::{Settings, Target};
use chaos::{Options, Roaming, run};
use ha_types::Qos;
use history::What;

const SHORT: Duration = Duration::from_secs(6);

/// So many servers, and so many brokers.
type Size = (usize, usize);

async fn ran(name: &str, (servers, brokers): Size, targets: &[Target], lasts: Duration) -> Report {
    let folder = programs::Folder::new(name);
    let options = Options {
        binaries: programs::binaries(),
        settings: Settings {
            servers,
            brokers,
            targets: targets.to_vec(),
            every: Duration::from_millis(1_500),
            stop: None,
        },
        lasts,
        seed: 1,
        rate: 120,
        publishers: 4,
        // One server alone keeps nothing from clients that come back through another broker while it is
        // away.
        roaming: if servers > 1 { Roaming::Anywhere } else { Roaming::Never },
    };
    let report = run(options, folder.path(), &|line| eprintln!("{line}")).await.unwrap();
    assert!(report.is_clean(), "{report}\n{}", folder.logs());
    // A clean verdict over nothing would say nothing.
    let counts = report.verdict.counts;
    assert!(counts.owed > 0 && counts.retained_owed > 0 && counts.drained > 10, "{report}");
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let at = |what| matches!(what, What::Delivered { qos: found, .. } if found == qos);
        assert!(report.history.events().any(|(_, event)| at(event.what)), "{qos:?}");
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn all_promises_hold_while_nothing_fails() {
    let report = ran("calm", (1, 2), &[], SHORT).await;
    assert_eq!(report.outages, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_one_broker_lose_nothing_when_the_only_ha_server_is_killed() {
    let report = ran("server", (1, 1), &[Target::Server], SHORT).await;
    assert!(report.outages[0].faults > 0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_go_anywhere_lose_nothing_when_brokers_leaders_and_all_are_killed() {
    let targets = [Target::Broker, Target::Leader, Target::Server, Target::All];
    let report = ran("group", (3, 3), &targets, Duration::from_secs(15)).await;
    assert!(report.outages.iter().map(|of| of.faults).sum::<usize>() > 4, "{report}");
}
