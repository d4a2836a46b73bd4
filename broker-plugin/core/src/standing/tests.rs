use super::*;

fn healthy() -> Facts {
    Facts {
        link: LinkState::Attached,
        is_loaded: true,
        ports: Ports::Open,
        is_draining: false,
        disk_free: None,
        memory: None,
    }
}

fn standing(isolated: WhenIsolated) -> Standing {
    Standing::new(StandingConfig { isolated, hold_ms: 2_000 })
}

/// Looks every quarter of a second until `ms`, and returns the last report.
fn look_until(standing: &mut Standing, from_ms: u64, to_ms: u64, facts: &Facts) -> Report {
    let looks = (from_ms..=to_ms).step_by(250).map(|ms| standing.look(Millis(ms), facts));
    looks.last().expect("one at least")
}

#[test]
fn attached_broker_is_ready_and_up() {
    let report = standing(WhenIsolated::Serve).look(Millis(0), &healthy());
    assert!(report.is_ready() && !report.is_isolated && !report.closes_clients);
    assert_eq!(report.agent.line(), "up 100% ready\n");
}

#[test]
fn broker_is_isolated_exactly_when_the_hold_is_over() {
    let mut standing = standing(WhenIsolated::Serve);
    let detached = Facts { link: LinkState::Detached, ..healthy() };
    assert!(!standing.look(Millis(0), &detached).is_isolated);
    assert!(!standing.look(Millis(1_999), &detached).is_isolated);
    assert!(standing.look(Millis(2_000), &detached).is_isolated);
    assert!(!standing.look(Millis(2_001), &healthy()).is_isolated);
}

#[test]
fn isolated_broker_that_serves_stays_ready_and_is_the_last_choice() {
    let mut standing = standing(WhenIsolated::Serve);
    let detached = Facts { link: LinkState::Attaching, ..healthy() };
    let report = look_until(&mut standing, 0, 60_000, &detached);
    assert!(report.is_ready() && !report.closes_clients);
    assert_eq!(report.agent.line(), "up 1% ready\n");
}

#[test]
fn isolated_broker_that_closes_is_unready_and_lets_its_clients_go() {
    let mut standing = standing(WhenIsolated::Close);
    let detached = Facts { link: LinkState::Fenced, ..healthy() };
    let report = look_until(&mut standing, 0, 1_750, &detached);
    assert!(report.is_ready() && !report.closes_clients);
    let report = look_until(&mut standing, 2_000, 2_000, &detached);
    assert!(!report.is_ready() && report.closes_clients);
    assert_eq!(report.agent, Agent::Down);
}

#[test]
fn broker_that_closes_when_isolated_never_starts_without_its_cluster() {
    let unloaded = Facts { is_loaded: false, ..healthy() };
    assert!(standing(WhenIsolated::Serve).look(Millis(0), &unloaded).is_ready());
    assert!(!standing(WhenIsolated::Close).look(Millis(0), &unloaded).is_ready());
    let starting = Facts { ports: Ports::Starting, ..unloaded };
    assert!(!standing(WhenIsolated::Serve).look(Millis(0), &starting).is_ready());
}

#[test]
fn limits_of_disk_and_memory_belong_to_what_is_allowed() {
    let at_limits = Facts {
        disk_free: Some(Measured { bytes: 64, limit: 64 }),
        memory: Some(Measured { bytes: 90, limit: 90 }),
        ..healthy()
    };
    assert!(standing(WhenIsolated::Serve).look(Millis(0), &at_limits).is_ready());
    let beyond = Facts {
        disk_free: Some(Measured { bytes: 63, limit: 64 }),
        memory: Some(Measured { bytes: 91, limit: 90 }),
        ..healthy()
    };
    let report = standing(WhenIsolated::Serve).look(Millis(0), &beyond);
    let failing = report.checks.iter().filter(|(_, wrong)| wrong.is_some());
    assert_eq!(failing.map(|(name, _)| *name).collect::<Vec<_>>(), ["disk", "memory"]);
    assert_eq!(report.agent.line(), "down\n");
}

#[test]
fn clients_go_when_a_limit_was_broken_for_five_seconds_not_for_a_blink() {
    let mut standing = standing(WhenIsolated::Serve);
    let full = Facts { disk_free: Some(Measured { bytes: 0, limit: 1 }), ..healthy() };
    assert!(!look_until(&mut standing, 0, 4_750, &full).closes_clients);
    assert!(!look_until(&mut standing, 5_000, 5_000, &healthy()).closes_clients);
    assert!(!look_until(&mut standing, 5_250, 10_000, &full).closes_clients);
    assert!(look_until(&mut standing, 10_250, 10_250, &full).closes_clients);
}

#[test]
fn pause_of_the_process_proves_nothing() {
    let mut standing = standing(WhenIsolated::Close);
    let detached = Facts { link: LinkState::Detached, ..healthy() };
    standing.look(Millis(0), &detached);
    assert!(!standing.look(Millis(30_000), &detached).is_isolated);
    assert!(look_until(&mut standing, 30_250, 32_000, &detached).is_isolated);
}

#[test]
fn draining_broker_says_so_and_is_not_ready() {
    let draining = Facts { is_draining: true, ..healthy() };
    let report = standing(WhenIsolated::Serve).look(Millis(0), &draining);
    assert!(!report.is_ready() && !report.closes_clients);
    assert_eq!(report.agent.line(), "drain\n");
    let stopping = Facts { ports: Ports::Stopping, ..draining };
    assert_eq!(standing(WhenIsolated::Serve).look(Millis(0), &stopping).agent, Agent::Down);
}
