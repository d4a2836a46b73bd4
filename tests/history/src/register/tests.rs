use super::*;

fn write(value: u64, began: u64, ended: u64) -> Operation {
    Operation { kind: Kind::Write, value: Value(value), began, ended: Some(ended) }
}

fn read(value: u64, began: u64, ended: u64) -> Operation {
    Operation { kind: Kind::Read, value: Value(value), began, ended: Some(ended) }
}

fn unanswered(value: u64, began: u64) -> Operation {
    Operation { kind: Kind::Write, value: Value(value), began, ended: None }
}

#[test]
fn reads_during_a_write_may_see_either_value() {
    let history = [write(1, 1, 2), write(2, 10, 20), read(1, 11, 12), read(2, 13, 14)];
    assert_eq!(check(&history), Ok(()));
    assert_eq!(check(&[read(0, 1, 9), write(1, 2, 8), read(1, 3, 4)]), Ok(()));
}

#[test]
fn value_that_was_acknowledged_and_lost_is_found() {
    let history = [write(1, 1, 2), write(2, 3, 4), read(1, 5, 6)];
    assert!(matches!(check(&history), Err(Anomaly::Within(zone, _)) if zone.value == Value(2)));
    assert!(check(&[write(1, 1, 2), read(0, 3, 4)]).is_err());
}

#[test]
fn value_that_comes_back_is_found() {
    let history = [write(1, 1, 2), write(2, 3, 9), read(1, 4, 5), read(2, 5, 6), read(1, 7, 8)];
    assert!(check(&history).is_err());
}

#[test]
fn two_readers_who_see_two_writes_in_different_orders_are_found() {
    let writes = [write(1, 1, 20), write(2, 1, 20)];
    let reads = [read(1, 2, 3), read(2, 4, 5), read(2, 2, 3), read(1, 4, 5)];
    assert!(matches!(check(&[&writes[..], &reads].concat()), Err(Anomaly::Both(..))));
    assert_eq!(check(&[&writes[..], &reads[..2]].concat()), Ok(()));
}

#[test]
fn write_without_an_answer_happens_late_or_never_but_once() {
    let history = [unanswered(1, 1), write(2, 2, 3), read(2, 4, 5), read(1, 6, 7)];
    assert_eq!(check(&history), Ok(()));
    assert_eq!(check(&[unanswered(1, 1), write(2, 2, 3), read(2, 4, 5)]), Ok(()));
    assert!(check(&[history.to_vec(), vec![read(2, 8, 9)]].concat()).is_err());
}

#[test]
fn value_from_nowhere_or_from_the_future_is_found() {
    assert_eq!(check(&[read(7, 1, 2)]), Err(Anomaly::FromNowhere(Value(7))));
    assert_eq!(check(&[read(7, 1, 2), write(7, 3, 4)]), Err(Anomaly::FromNowhere(Value(7))));
    assert_eq!(check(&[write(7, 1, 2), write(7, 3, 4)]), Err(Anomaly::Repeated(Value(7))));
}

/// Tries all orders.
fn is_linearizable(left: &mut Vec<Operation>, holds: Value) -> bool {
    if left.iter().all(|operation| operation.ended.is_none()) {
        return true;
    }
    // Only what began before everything else that is left has ended may be next.
    let first_end = left.iter().filter_map(|it| it.ended).min().unwrap_or(u64::MAX);
    for at in 0..left.len() {
        let next = left[at];
        let fits = next.kind == Kind::Write || next.value == holds;
        if next.began > first_end || !fits {
            continue;
        }
        left.swap_remove(at);
        let holds = if next.kind == Kind::Write { next.value } else { holds };
        let found = is_linearizable(left, holds);
        left.push(next);
        let last = left.len() - 1;
        left.swap(at, last);
        if found {
            return true;
        }
    }
    false
}

#[test]
fn answer_is_that_of_trying_all_orders() {
    let mut state = 1_u64;
    let mut below = |limit: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        let writes = 1 + below(3);
        // All moments differ: what happens at the same one has no order.
        let mut moments: Vec<u64> = (1..=14).collect();
        let mut interval = || {
            let mut moment = || {
                let left = u64::try_from(moments.len()).unwrap();
                moments.swap_remove(usize::try_from(below(left)).unwrap())
            };
            let (one, other) = (moment(), moment());
            (one.min(other), one.max(other), below(6))
        };
        let mut history = Vec::new();
        for value in 1..=writes {
            let (began, ended, chance) = interval();
            let ended = (chance > 0).then_some(ended);
            history.push(Operation { kind: Kind::Write, value: Value(value), began, ended });
        }
        for _ in 0..4 {
            let (began, ended, chance) = interval();
            history.push(read(chance % (writes + 1), began, ended));
        }
        let expected = is_linearizable(&mut history.clone(), NOTHING);
        assert_eq!(check(&history).is_ok(), expected, "{history:?}");
        if expected { good += 1 } else { bad += 1 }
    }
    assert!(good > 1_000 && bad > 1_000, "{good} {bad}");
}
