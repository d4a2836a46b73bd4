//! The short form: what must hold on every machine that runs the tests, in seconds.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod programs;

use std::time::Duration;

use chaos::report::Report;
use chaos::schedule::{Settings, Target};
use chaos::{Options, Roaming, run};
use ha_types::Qos;
use history::What;

/// Each client stays with its broker.
async fn ran(name: &str, brokers: usize, targets: &[Target]) -> Report {
    let folder = programs::Folder::new(name);
    let options = Options {
        binaries: programs::binaries(),
        settings: Settings {
            servers: 1,
            brokers,
            targets: targets.to_vec(),
            every: Duration::from_millis(1_500),
            stop: None,
        },
        lasts: Duration::from_secs(6),
        seed: 1,
        rate: 120,
        publishers: 4,
        roaming: Roaming::Never,
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
    let report = ran("calm", 2, &[]).await;
    assert_eq!(report.outages, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_one_broker_lose_nothing_when_the_only_ha_server_is_killed() {
    let report = ran("server", 1, &[Target::Server]).await;
    assert!(report.outages[0].faults > 0, "{report}");
}
