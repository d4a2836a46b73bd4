use super::*;

const SECOND: u64 = 1_000_000;
const A: Member = Member { group: 1, number: 1 };
const B: Member = Member { group: 1, number: 2 };
const C: Member = Member { group: 1, number: 3 };
/// Of another group, at A's broker.
const AT_1: Member = Member { group: 2, number: 1 };
const M: Message = Message { publisher: 1, number: 7 };
const BROKER: [Process; 3] = [Process::Broker(1), Process::Broker(2), Process::Broker(3)];

/// What was observed, at so many milliseconds, after A, B and C connected to brokers 1, 2 and 3, which answer
/// publishes all the time.
fn story(story: &[(u64, What)]) -> Verdict {
    let answers = (0..60_000_u64).step_by(100).flat_map(|ms| {
        BROKER.map(|broker| (ms, What::Answered(broker, (ms * 1_000).saturating_sub(1))))
    });
    story_with(answers, story)
}

fn story_with(answers: impl Iterator<Item = (u64, What)>, story: &[(u64, What)]) -> Verdict {
    let connected = [A, B, C].into_iter().zip(BROKER);
    let connected = connected.map(|(member, broker)| (0, What::Connected(member, broker)));
    let mut all: Vec<_> = connected.chain(story.iter().copied()).chain(answers).collect();
    all.sort_by_key(|(ms, _)| *ms);
    let at = |(ms, what): (u64, What)| Event { at: ms * 1_000, what };
    check(&all.into_iter().map(at).collect::<Vec<_>>())
}

fn kinds(verdict: &Verdict) -> Vec<Kind> {
    verdict.totals.keys().copied().collect()
}

/// A gets it, acknowledges it and goes on; then what is to be judged happens.
fn acknowledged_by_a(more: &[(u64, What)]) -> Verdict {
    let before = [(1, What::Delivered(A, M, Dup::Clear)), (2, What::Acknowledged(A, M))];
    story(&[&before[..], more].concat())
}

/// B gets what A has; then what is to be judged happens, and B acknowledges.
fn held_by_a_given_to_b(before: &[(u64, What)], after: &[(u64, What)]) -> Verdict {
    let first = [(10_000, What::Delivered(A, M, Dup::Clear))];
    let second = [(20_000, What::Delivered(B, M, Dup::Clear)), (20_001, What::Acknowledged(B, M))];
    story(&[&first[..], before, &second, after].concat())
}

#[test]
fn message_that_one_member_of_each_group_acknowledged_is_fine() {
    let other = Member { group: 2, number: 1 };
    let verdict = acknowledged_by_a(&[
        (3, What::Connected(other, BROKER[0])),
        (4, What::Published(M)),
        (5, What::Delivered(other, M, Dup::Clear)),
        (6, What::Acknowledged(other, M)),
    ]);
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!((verdict.counts.published, verdict.counts.acknowledged), (1, 2));
}

#[test]
fn message_that_a_group_never_got_or_acknowledged_is_lost() {
    let verdict = story(&[(1, What::Published(M))]);
    assert_eq!(kinds(&verdict), [Kind::Lost]);
    let verdict = story(&[(1, What::Published(M)), (2, What::Delivered(A, M, Dup::Clear))]);
    assert_eq!(kinds(&verdict), [Kind::Lost]);
    let other = Member { group: 2, number: 1 };
    let verdict =
        acknowledged_by_a(&[(3, What::Connected(other, BROKER[0])), (4, What::Published(M))]);
    let expected = Violation::Lost { group: 2, message: M, published: 4_000, last: None };
    assert_eq!(verdict.violations, [expected]);
    assert_eq!(story(&[]).totals.len(), 0, "nobody is owed what has no PUBACK");
}

#[test]
fn message_that_another_member_gets_while_the_first_is_there_is_with_two() {
    for (before, after) in [
        (vec![], vec![]),
        // Too late, or its own decision.
        (vec![], vec![(23_001, What::Ended(A, End::Suffered))]),
        (vec![], vec![(20_500, What::Ended(A, End::Chosen))]),
        (vec![], vec![(20_500, What::Ended(B, End::Chosen))]),
        // Not its broker, or not any more.
        (vec![(11_000, What::Down(BROKER[2])), (12_000, What::Up(BROKER[2]))], vec![]),
        (vec![(19_000, What::Down(Process::Server(1)))], vec![]),
        // Others were cut off at once, but it stayed for long.
        (
            vec![],
            vec![
                (20_500, What::Connected(AT_1, BROKER[0])),
                (20_600, What::Ended(AT_1, End::Suffered)),
                (23_001, What::Ended(A, End::Chosen)),
            ],
        ),
        // A got it on a connection of its own before B came.
        (
            vec![(11_000, What::Ended(B, End::Suffered)), (12_000, What::Connected(B, BROKER[2]))],
            vec![(20_500, What::Ended(B, End::Suffered))],
        ),
    ] {
        let verdict = held_by_a_given_to_b(&before, &after);
        assert_eq!(kinds(&verdict), [Kind::HeldByTwo], "{before:?} {after:?}");
    }
}

#[test]
fn message_goes_on_when_the_connection_of_its_member_ends() {
    for end in [End::Chosen, End::Suffered] {
        let verdict = held_by_a_given_to_b(&[(11_000, What::Ended(A, end))], &[]);
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!((verdict.counts.handed_on, verdict.counts.excused), (1, 0));
    }
}

#[test]
fn message_may_be_with_two_while_the_broker_of_one_is_cut_off() {
    for (before, after) in [
        (vec![], vec![(22_999, What::Ended(A, End::Suffered))]),
        (vec![], vec![(22_999, What::Ended(B, End::Suffered))]),
        (vec![(19_000, What::Down(BROKER[0]))], vec![(29_000, What::Up(BROKER[0]))]),
        // It would have been cut off as well.
        (
            vec![(19_000, What::Connected(AT_1, BROKER[0]))],
            vec![(20_500, What::Ended(A, End::Chosen)), (22_999, What::Ended(AT_1, End::Suffered))],
        ),
    ] {
        let verdict = held_by_a_given_to_b(&before, &after);
        assert!(verdict.is_clean(), "{before:?} {after:?} {verdict}");
        assert_eq!(verdict.counts.excused, 1);
    }
}

#[test]
fn message_that_comes_twice_by_one_connection_is_never_excused() {
    let twice = [(1, What::Delivered(A, M, Dup::Clear)), (2, What::Delivered(A, M, Dup::Clear))];
    let end = [(3, What::Ended(A, End::Suffered))];
    assert_eq!(kinds(&story(&[twice, [twice[1], end[0]]].concat())), [Kind::HeldByTwo]);
    let verdict = acknowledged_by_a(&[(3, What::Delivered(A, M, Dup::Clear)), end[0]]);
    assert_eq!(kinds(&verdict), [Kind::AfterAcknowledgement]);
}

#[test]
fn what_was_acknowledged_may_not_come_to_anybody_again() {
    let again = (5_000, What::Delivered(B, M, Dup::Clear));
    for between in [
        vec![],
        // The broker had read it, so that this says nothing.
        vec![(3, What::Settled(A, 2_001)), (4, What::Ended(A, End::Chosen))],
        // Too late to be the cause.
        vec![(3_003, What::Ended(A, End::Chosen))],
        vec![(3_003, What::Down(BROKER[0]))],
        // Others.
        vec![(3, What::Down(BROKER[1])), (3, What::Down(Process::Server(1)))],
        // B came after A had it.
        vec![(3, What::Ended(B, End::Chosen)), (4, What::Connected(B, BROKER[2]))],
    ] {
        let verdict = acknowledged_by_a(&[&between[..], &[again]].concat());
        assert_eq!(kinds(&verdict), [Kind::AfterAcknowledgement], "{between:?}");
    }
    let itself = [
        (3, What::Settled(A, 2_001)),
        (4, What::Ended(A, End::Chosen)),
        (5, What::Connected(A, BROKER[1])),
        (6, What::Delivered(A, M, Dup::Clear)),
    ];
    assert_eq!(kinds(&acknowledged_by_a(&itself)), [Kind::AfterAcknowledgement]);
}

#[test]
fn acknowledgement_that_its_broker_took_to_the_grave_is_excused() {
    let again = (5_000, What::Delivered(B, M, Dup::Clear));
    for between in [
        // Not certainly read: the PINGREQ was sent before it.
        vec![(3, What::Settled(A, 1_999)), (4, What::Ended(A, End::Chosen))],
        vec![(3, What::Settled(A, 2_001)), (4, What::Ended(A, End::Suffered))],
        vec![(3, What::Down(BROKER[0])), (4, What::Up(BROKER[0]))],
        // It went before its broker cut off everybody.
        vec![
            (3, What::Connected(AT_1, BROKER[0])),
            (4, What::Settled(A, 3_000)),
            (4, What::Ended(A, End::Chosen)),
            (3_002, What::Ended(AT_1, End::Suffered)),
        ],
    ] {
        let verdict = acknowledged_by_a(&[&between[..], &[again]].concat());
        assert!(verdict.is_clean(), "{between:?} {verdict}");
        assert_eq!(verdict.counts.excused, 1);
    }
    let late = [again, (5_500, What::Ended(B, End::Suffered))];
    assert!(acknowledged_by_a(&late).is_clean(), "B had it first, at a broker that was cut off");
}

#[test]
fn member_that_comes_back_before_its_acknowledgement_has_arrived_may_get_it_again_with_dup() {
    // Its broker answers at 100 what was sent since, and at 200 what was sent after that.
    let come_back = |ms, member, dup| {
        acknowledged_by_a(&[
            (3, What::Settled(A, 3_000)),
            (4, What::Ended(A, End::Chosen)),
            (5, What::Ended(B, End::Chosen)),
            (ms, What::Connected(member, BROKER[1])),
            (5_001, What::Delivered(member, M, dup)),
        ])
    };
    let verdict = come_back(199, A, Dup::Set);
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!((verdict.counts.came_back, verdict.counts.excused), (1, 0));
    for (ms, member, dup) in [(200, A, Dup::Set), (199, B, Dup::Set), (199, A, Dup::Clear)] {
        let verdict = come_back(ms, member, dup);
        assert_eq!(kinds(&verdict), [Kind::AfterAcknowledgement], "{ms} {member} {dup:?}");
    }
}

#[test]
fn nothing_is_said_of_a_time_in_which_the_broker_answered_nothing() {
    let story = [
        (1, What::Delivered(A, M, Dup::Clear)),
        (2, What::Acknowledged(A, M)),
        (8_000, What::Down(BROKER[0])),
        (9_000, What::Delivered(B, M, Dup::Clear)),
    ];
    let answer = |ms: u64, sent_ms: u64| (ms, What::Answered(BROKER[0], sent_ms * 1_000));
    for (answers, expected) in [
        (vec![], vec![]),
        // What was sent before may have been on its way before, and one more may have waited for it.
        (vec![answer(10, 1), answer(5_000, 3)], vec![]),
        (vec![answer(10, 3), answer(11, 9)], vec![]),
        (vec![answer(10, 3), answer(7_999, 10)], vec![Kind::AfterAcknowledgement]),
        (vec![answer(10, 3), answer(8_000, 10)], vec![]),
    ] {
        let verdict = story_with(answers.iter().copied(), &story);
        assert_eq!(kinds(&verdict), expected, "{answers:?}");
    }
}

/// Messages of the calm: A, B and C get so many each.
fn spread(got: [u32; 3], end: &[What]) -> Verdict {
    let mut all = Vec::new();
    for (publisher, (member, got)) in (1..).zip([A, B, C].into_iter().zip(got)) {
        for number in 0..got {
            let message = Message { publisher, number };
            all.push((1, What::Delivered(member, message, Dup::Clear)));
            all.push((1, What::Acknowledged(member, message)));
        }
    }
    all.extend(end.iter().map(|&what| (2, what)));
    story(&all)
}

#[test]
fn member_may_get_ten_percent_more_or_less_than_the_mean_while_nothing_fails() {
    let verdict = spread([110, 90, 100], &[What::Quiet]);
    assert!(verdict.is_clean() && verdict.counts.spread_judged == 1, "{verdict}");
    let verdict = spread([111, 89, 100], &[What::Quiet]);
    assert_eq!(verdict.totals, [(Kind::Uneven, 2)].into());
    let verdict = spread([150, 150, 0], &[What::Quiet]);
    assert_eq!(verdict.totals, [(Kind::Uneven, 3)].into(), "who gets nothing counts too");
}

#[test]
fn spread_of_little_or_after_a_failure_is_not_judged() {
    for (got, end) in [
        ([38, 10, 11], &[What::Quiet][..]),
        ([200, 1, 1], &[]),
        ([200, 1, 1], &[What::Ended(A, End::Suffered), What::Quiet]),
        ([200, 1, 1], &[What::Down(Process::Server(1)), What::Quiet]),
    ] {
        let verdict = spread(got, end);
        assert!(verdict.is_clean() && verdict.counts.spread_judged == 0, "{got:?} {end:?}");
    }
}

#[test]
fn record_that_contradicts_itself_proves_nothing() {
    let gone = [(1, What::Ended(A, End::Chosen)), (2, What::Delivered(A, M, Dup::Clear))];
    assert_eq!(kinds(&story(&gone)), [Kind::Misrecorded]);
    assert_eq!(kinds(&story(&[(1, What::Acknowledged(A, M))])), [Kind::Misrecorded]);
}

#[test]
fn violation_names_message_members_and_moments() {
    let verdict = acknowledged_by_a(&[
        (3, What::Settled(A, 2_001)),
        (5_000, What::Delivered(B, M, Dup::Clear)),
    ]);
    let words = verdict.to_string();
    for expected in [
        "message 7 of publisher 1\n",
        "g1-1 at broker-1 since 0.000000 s: got it at 0.001000 s, wrote PUBACK at 0.002000 s, which \
         was read, stayed",
        "g1-2 at broker-2 since 0.000000 s: got it at 5.000000 s, did not acknowledge it, stayed",
    ] {
        assert!(words.contains(expected), "{words}");
    }
}

#[test]
fn all_violations_are_counted_and_the_first_are_kept() {
    let publish = |number| (1, What::Published(Message { publisher: 1, number }));
    let verdict = story(&(0..30).map(publish).collect::<Vec<_>>());
    assert_eq!(verdict.totals, [(Kind::Lost, 30)].into());
    assert_eq!(verdict.violations.len() as u64, VIOLATIONS_MAX);
    assert_eq!(SOON_US, 3 * SECOND, "the stories are made for it");
}
