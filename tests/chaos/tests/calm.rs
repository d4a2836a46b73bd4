//! The short form: nothing fails, and nothing may be lost, doubled or reordered.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod programs;

use std::time::Duration;

use chaos::schedule::Settings;
use chaos::{Options, Roaming, run};
use ha_types::Qos;
use history::What;

/// Each client stays with its broker, because sessions are found there only; retained messages and
/// whoever subscribes to them meet on any broker.
#[tokio::test(flavor = "multi_thread")]
async fn all_promises_hold_while_nothing_fails() {
    let folder = programs::Folder::new("calm");
    let settings = Settings {
        servers: 1,
        brokers: 2,
        targets: Vec::new(),
        every: Duration::from_secs(1),
        stop: None,
    };
    let options = Options {
        binaries: programs::binaries(),
        settings,
        lasts: Duration::from_secs(6),
        seed: 1,
        rate: 120,
        publishers: 4,
        roaming: Roaming::Never,
    };
    let report = run(options, folder.path(), &|line| eprintln!("{line}")).await.unwrap();
    assert!(report.is_clean(), "{report}\n{}", folder.logs());
    let counts = report.verdict.counts;
    assert!(counts.owed > 0 && counts.retained_owed > 0 && counts.drained > 10, "{report}");
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let at = |what| matches!(what, What::Delivered { qos: found, .. } if found == qos);
        assert!(report.history.events().any(|(_, event)| at(event.what)), "{qos:?}");
    }
}
