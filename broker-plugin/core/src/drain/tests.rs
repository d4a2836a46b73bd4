use super::*;

const CONFIG: DrainConfig = DrainConfig { grace_ms: 2_000, rate: 1_000, max_ms: 30_000 };

fn step(drain: &mut Drain, ms: u64, open: usize) -> Vec<Act> {
    let mut out = Vec::new();
    drain.step(Millis(ms), open, &mut out);
    out
}

fn told(acts: &[Act]) -> usize {
    acts.iter().map(|act| if let Act::Tell(count) = act { *count } else { 0 }).sum()
}

#[test]
fn clients_are_taken_until_the_grace_is_over_and_refused_from_then() {
    let mut drain = Drain::new(CONFIG);
    drain.begin(Millis(0), None);
    assert!(drain.is_draining());
    assert_eq!(step(&mut drain, 1_999, 5), []);
    assert_eq!(step(&mut drain, 2_000, 5)[0], Act::Refuse(Refusal::Leaving));
}

#[test]
fn no_more_clients_are_told_in_a_second_than_the_rate_says() {
    let mut drain = Drain::new(CONFIG);
    drain.begin(Millis(0), Some(300));
    let mut count = 0;
    for ms in (2_000..=3_000).step_by(7) {
        count += told(&step(&mut drain, ms, 10_000));
    }
    assert!((290..=301).contains(&count), "{count}");
}

#[test]
fn pause_of_the_process_does_not_send_everybody_away_at_once() {
    let mut drain = Drain::new(DrainConfig { max_ms: 60_000, ..CONFIG });
    drain.begin(Millis(0), None);
    step(&mut drain, 2_000, 10_000);
    assert!(told(&step(&mut drain, 30_000, 10_000)) <= 100);
}

#[test]
fn it_is_over_when_nobody_is_left() {
    let mut drain = Drain::new(CONFIG);
    drain.begin(Millis(0), None);
    step(&mut drain, 2_000, 2);
    assert!(!drain.is_over());
    assert_eq!(step(&mut drain, 2_100, 0), []);
    assert!(drain.is_over() && drain.is_draining());
}

#[test]
fn those_who_stay_are_closed_when_its_time_is_over() {
    let mut drain = Drain::new(CONFIG);
    drain.begin(Millis(0), Some(1));
    step(&mut drain, 2_000, 50);
    assert_eq!(step(&mut drain, 26_999, 50), []);
    assert_eq!(step(&mut drain, 27_000, 50), [Act::Tell(50)], "three seconds before the end");
    assert_eq!(step(&mut drain, 30_000, 1), [Act::EndAll]);
    assert!(drain.is_over());
}

#[test]
fn second_order_changes_the_rate_and_does_not_begin_again() {
    let mut drain = Drain::new(CONFIG);
    drain.begin(Millis(0), Some(1));
    drain.begin(Millis(1_000), Some(2));
    assert_eq!(step(&mut drain, 2_000, 50).len(), 2);
    assert_eq!(told(&step(&mut drain, 2_050, 50)) + told(&step(&mut drain, 2_100, 50)), 0);
}

#[test]
fn clients_are_taken_again_after_resume_and_only_then() {
    let mut drain = Drain::new(CONFIG);
    assert_eq!(drain.resume(), None);
    drain.begin(Millis(0), None);
    step(&mut drain, 2_000, 0);
    assert!(drain.is_over());
    assert_eq!(drain.resume(), Some(Act::Admit));
    assert!(!drain.is_draining() && !drain.is_over());
}

#[test]
fn broker_that_cannot_serve_sends_everybody_away_without_grace() {
    let mut drain = Drain::new(CONFIG);
    drain.close(Millis(0));
    assert!(drain.is_closing());
    let acts = step(&mut drain, 0, 7);
    assert_eq!(acts, [Act::Refuse(Refusal::Unavailable), Act::Tell(7)]);
    assert_eq!(step(&mut drain, 3_000, 1), [Act::EndAll]);
}

#[test]
fn order_to_drain_outlives_the_trouble_that_came_first() {
    let mut drain = Drain::new(CONFIG);
    drain.close(Millis(0));
    step(&mut drain, 0, 0);
    drain.begin(Millis(1), None);
    assert!(drain.is_draining() && !drain.is_closing() && drain.is_over());
}
