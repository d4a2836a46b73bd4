//! The short form: what must hold on every machine that runs the tests, in seconds.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod programs;

use std::time::Duration;

use chaos::race::{self, Race};
use chaos::report::Report;
use chaos::run::Failed;
use chaos::schedule::{Settings, Target};
use chaos::shares::{self, Shares};
use chaos::{Disk, Options, Roaming, run};
use ha_types::Qos;
use history::{Kind, What};
use tokio::sync::Mutex;

const SHORT: Duration = Duration::from_secs(6);

/// One cluster after the other: several would starve each other of processor time until they elect more
/// than they serve, and few faults fit into the time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Who there is, and what happens to them.
struct Case {
    name: &'static str,
    servers: usize,
    brokers: usize,
    targets: &'static [Target],
    lasts: Duration,
    disk: Disk,
    server_keys: &'static [&'static str],
}

impl Case {
    fn new(name: &'static str, (servers, brokers): (usize, usize)) -> Self {
        let (disk, lasts) = (Disk::Keeps, SHORT);
        Self { name, servers, brokers, targets: &[], lasts, disk, server_keys: &[] }
    }

    fn options(&self) -> Options {
        Options {
            binaries: programs::binaries(),
            settings: Settings {
                servers: self.servers,
                brokers: self.brokers,
                targets: self.targets.to_vec(),
                every: Duration::from_millis(1_500),
                stop: None,
            },
            disk: self.disk,
            server_keys: self.server_keys.iter().map(|&key| key.to_owned()).collect(),
            lasts: self.lasts,
            seed: 1,
            rate: 120,
            publishers: 4,
            // One server alone keeps nothing from clients that come back through another broker
            // while it is away.
            roaming: if self.servers > 1 { Roaming::Anywhere } else { Roaming::Never },
        }
    }

    /// With the folder of its files.
    async fn run(&self) -> (Result<Report, Failed>, programs::Folder) {
        let _alone = ALONE.lock().await;
        let folder = programs::Folder::new(self.name);
        (run(self.options(), folder.path(), &|line| eprintln!("{line}")).await, folder)
    }

    async fn is_clean(&self) -> Report {
        let (report, folder) = self.run().await;
        let report = report.unwrap();
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
}

fn faults(report: &Report, target: Target) -> usize {
    report.outages.iter().filter(|of| of.target == target).map(|of| of.faults).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_promises_hold_while_nothing_fails() {
    let report = Case::new("calm", (1, 2)).is_clean().await;
    assert_eq!(report.outages, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_one_broker_lose_nothing_when_the_only_ha_server_is_killed() {
    let report =
        Case { targets: &[Target::Server], ..Case::new("server", (1, 1)) }.is_clean().await;
    assert!(faults(&report, Target::Server) > 0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_go_anywhere_lose_nothing_when_brokers_leaders_and_all_are_killed() {
    let targets = &[Target::Broker, Target::Leader, Target::Server, Target::All];
    let lasts = Duration::from_secs(15);
    let report = Case { targets, lasts, ..Case::new("group", (3, 3)) }.is_clean().await;
    assert!(report.outages.iter().map(|of| of.faults).sum::<usize>() > 4, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_that_race_are_linearizable_when_brokers_and_leaders_are_killed() {
    let _alone = ALONE.lock().await;
    let (targets, lasts) = (&[Target::Broker, Target::Leader], Duration::from_secs(12));
    let case = Case { targets, lasts, ..Case::new("race", (3, 3)) };
    let folder = programs::Folder::new(case.name);
    let race = Race { topics: 10, ..Race::of(case.options(), 100) };
    let outcome = race::run(race, folder.path(), &|line| eprintln!("{line}")).await.unwrap();
    assert!(outcome.is_clean() && outcome.faults > 0, "{outcome}\n{}", folder.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn share_groups_lose_and_double_nothing_when_members_brokers_and_leaders_are_killed() {
    let _alone = ALONE.lock().await;
    let (targets, lasts) = (&[Target::Broker, Target::Leader], Duration::from_secs(10));
    let case = Case { targets, lasts, ..Case::new("shares", (3, 3)) };
    let folder = programs::Folder::new(case.name);
    let shares = Shares::of(case.options(), 6);
    let outcome = shares::run(shares, folder.path(), &|line| eprintln!("{line}")).await.unwrap();
    let has_seen_some = outcome.faults > 0 && outcome.verdict.counts.handed_on > 0;
    assert!(outcome.is_clean() && has_seen_some, "{outcome}\n{}", folder.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_a_segment_of_one_log_of_three_is_damaged() {
    let (targets, lasts) = (&[Target::Disk], Duration::from_secs(20));
    let report = Case { targets, lasts, ..Case::new("damage", (3, 2)) }.is_clean().await;
    assert!(faults(&report, Target::Disk) > 0, "{report}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_all_lose_power_at_the_same_moment() {
    let (targets, lasts) = (&[Target::All], Duration::from_secs(12));
    let case = Case { targets, lasts, disk: Disk::Forgets, ..Case::new("power", (3, 3)) };
    let report = case.is_clean().await;
    assert!(faults(&report, Target::All) > 0, "{report}");
}

/// Or the test above could not fail. One server alone: of several that lost different parts none may be
/// able to go on.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn server_that_does_not_sync_loses_what_it_acknowledged_when_power_is_lost() {
    let (targets, server_keys) = (&[Target::All], &["DURABILITY = MEMORY"]);
    let case = Case { targets, server_keys, disk: Disk::Forgets, ..Case::new("memory", (1, 1)) };
    let (report, _folder) = case.run().await;
    let report = report.unwrap();
    assert!(faults(&report, Target::All) > 0, "{report}");
    // Messages, or whole sessions with what waited in them.
    let is_loss = |kind| matches!(kind, Kind::AcknowledgedAndLost | Kind::SessionPresent);
    let lost = report.verdict.totals.iter().filter(|(kind, _)| is_loss(*kind));
    assert!(lost.map(|(_, times)| *times).sum::<u64>() > 0, "{report}");
}
