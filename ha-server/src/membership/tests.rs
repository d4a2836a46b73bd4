use super::*;

fn member(id: u64) -> Member {
    Member { id: NodeId(id), address: format!("ha{id}:2000") }
}

fn said(id: u64) -> NodeResponse {
    NodeResponse {
        cluster: "c".to_owned(),
        node: id,
        applied: 100_000,
        has_group: true,
        feature_level: FeatureLevel::NEWEST.0,
        ..NodeResponse::default()
    }
}

/// Led by the first voter; all are well and have everything.
fn group(voters: &[u64], learners: &[u64]) -> View {
    let of = |votes: bool| {
        move |&id: &u64| MemberView { member: member(id), votes, said: Some(said(id)) }
    };
    let members = voters.iter().map(of(true)).chain(learners.iter().map(of(false)));
    let level = FeatureLevel::NEWEST;
    View { leader: NodeId(voters[0]), applied: 100_000, level, members: members.collect() }
}

fn change(view: &mut View, id: u64, change: impl FnOnce(&mut MemberView)) {
    change(view.members.iter_mut().find(|view| view.member.id.0 == id).unwrap());
}

fn ids(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn voters(decided: Result<BTreeSet<NodeId>, String>) -> Vec<u64> {
    decided.unwrap().into_iter().map(|id| id.0).collect()
}

/// A server that waits to be taken into a group.
fn newcomer(id: u64) -> NodeResponse {
    NodeResponse { has_group: false, applied: 0, ..said(id) }
}

#[test]
fn one_becomes_three_and_three_become_five_two_at_a_time() {
    assert_eq!(voters(group(&[1], &[2, 3]).promotion(&ids(&[2, 3]), &[])), [1, 2, 3]);
    let five = group(&[1, 2, 3], &[4, 5]).promotion(&ids(&[4, 5]), &[]);
    assert_eq!(voters(five), [1, 2, 3, 4, 5]);
}

#[test]
fn even_number_of_votes_is_refused_with_a_way_out() {
    for refused in
        [group(&[1], &[2]).promotion(&ids(&[2]), &[]), group(&[1, 2, 3], &[]).removal(&ids(&[3]))]
    {
        let told = refused.unwrap_err();
        assert!(told.contains("2 voters would survive no more losses than 1"), "{told}");
    }
}

#[test]
fn even_number_that_is_there_already_may_become_odd() {
    assert_eq!(voters(group(&[1, 2], &[3]).promotion(&ids(&[3]), &[])), [1, 2, 3]);
    assert_eq!(voters(group(&[1, 2], &[]).removal(&ids(&[2]))), [1]);
}

#[test]
fn dead_voter_is_replaced_in_one_step() {
    let mut view = group(&[1, 2, 3], &[4]);
    change(&mut view, 3, |dead| dead.said = None);
    assert_eq!(voters(view.promotion(&ids(&[4]), &ids(&[3]))), [1, 2, 4]);
    let twice = view.promotion(&ids(&[4]), &ids(&[4])).unwrap_err();
    assert!(twice.contains("no vote that another could take"), "{twice}");
}

#[test]
fn learner_that_is_behind_or_silent_gets_no_vote() {
    let mut view = group(&[1], &[2, 3]);
    change(&mut view, 2, |learner| {
        learner.said.as_mut().unwrap().applied = view_applied() - BEHIND_MAX - 1;
    });
    let told = view.promotion(&ids(&[2, 3]), &[]).unwrap_err();
    assert!(told.starts_with("server 2 is 10001 entries behind"), "{told}");
    change(&mut view, 2, |learner| learner.said.as_mut().unwrap().applied += 1);
    assert!(view.promotion(&ids(&[2, 3]), &[]).is_ok());
    change(&mut view, 3, |learner| learner.said = None);
    let told = view.promotion(&ids(&[2, 3]), &[]).unwrap_err();
    assert_eq!(told, "server 3 does not answer at ha3:2000");
}

fn view_applied() -> u64 {
    group(&[1], &[]).applied
}

#[test]
fn removal_that_leaves_no_majority_alive_is_refused() {
    let mut view = group(&[3, 1, 2, 4, 5], &[]);
    change(&mut view, 4, |dead| dead.said = None);
    change(&mut view, 5, |ill| ill.said.as_mut().unwrap().fault = "no disk".to_owned());
    let told = view.removal(&ids(&[1, 2])).unwrap_err();
    assert!(told.starts_with("only 1 of the 3 voters would answer"), "{told}");
    assert_eq!(voters(view.removal(&ids(&[4, 5]))), [1, 2, 3]);
}

#[test]
fn last_voter_stays_and_the_leader_hands_over_first() {
    let told = group(&[1], &[2]).removal(&ids(&[1])).unwrap_err();
    assert!(told.contains("the last voter stays"), "{told}");
    let told = group(&[1, 2, 3], &[]).removal(&ids(&[1, 2])).unwrap_err();
    assert!(told.starts_with("server 1 leads; hand over first"), "{told}");
}

#[test]
fn learner_may_go_at_any_time_and_a_stranger_cannot() {
    let mut view = group(&[1, 2], &[3]);
    change(&mut view, 2, |dead| dead.said = None);
    assert_eq!(voters(view.removal(&ids(&[3]))), [1, 2]);
    assert_eq!(view.removal(&ids(&[9])).unwrap_err(), "server 9 is not a member");
}

#[test]
fn new_server_is_added_and_asking_again_waits_for_it() {
    let view = group(&[1], &[2]);
    assert_eq!(view.addition(&member(3), "c", &newcomer(3)), Ok(Addition::Add));
    assert_eq!(view.addition(&member(2), "c", &said(2)), Ok(Addition::Await));
    let told = view.addition(&member(1), "c", &said(1)).unwrap_err();
    assert_eq!(told, "server 1 is a member already");
}

#[test]
fn new_server_must_be_what_the_operator_believes() {
    let view = group(&[1], &[]);
    let refused = |said: &NodeResponse, part: &str| {
        let told = view.addition(&member(2), "c", said).unwrap_err();
        assert!(told.contains(part), "{told}");
    };
    let other = NodeResponse { cluster: "other".to_owned(), ..newcomer(2) };
    refused(&other, "belongs to cluster \"other\", not to \"c\"");
    refused(&newcomer(3), "has NODE_ID = 3, not 2");
    refused(&said(2), "is or was in a group");
    let old = NodeResponse { feature_level: FeatureLevel::NEWEST.0 - 1, ..newcomer(2) };
    refused(&old, "upgrade it first");
    let taken = Member { address: "ha1:2000".to_owned(), ..member(2) };
    let told = view.addition(&taken, "c", &newcomer(2)).unwrap_err();
    assert_eq!(told, "ha1:2000 is the address of server 1");
}

#[test]
fn level_is_raised_to_what_all_members_understand_when_all_have_said_so() {
    let with = |levels: [Option<u32>; 3], level: u32| {
        let mut view = group(&[1, 2], &[3]);
        view.level = FeatureLevel(level);
        for (member, level) in view.members.iter_mut().zip(levels) {
            let said = member.said.take();
            member.said =
                level.zip(said).map(|(feature_level, said)| NodeResponse { feature_level, ..said });
        }
        view.raise()
    };
    let newest = FeatureLevel::NEWEST.0;
    assert_eq!(with([Some(newest); 3], 0), Some(FeatureLevel::NEWEST));
    assert_eq!(with([Some(newest + 1); 3], 0), Some(FeatureLevel::NEWEST), "not more than we know");
    assert_eq!(with([Some(newest); 3], newest), None);
    assert_eq!(with([Some(newest), Some(newest), Some(0)], 0), None, "one that only copies counts");
    assert_eq!(with([Some(newest), None, Some(newest)], 0), None, "a silent one may be old");
}

#[test]
fn group_takes_nine_members_and_no_more() {
    let full = group(&[1, 2, 3, 4, 5, 6, 7, 8, 9], &[]);
    assert!(full.addition(&member(10), "c", &newcomer(10)).is_err());
    let eight = group(&[1, 2, 3, 4, 5, 6, 7], &[8]);
    assert_eq!(eight.addition(&member(10), "c", &newcomer(10)), Ok(Addition::Add));
}

#[test]
fn group_that_others_cannot_reach_says_its_address_first() {
    let mut view = group(&[1], &[]);
    change(&mut view, 1, |own| own.member.address = "127.0.0.1:2000".to_owned());
    let told = view.addition(&member(2), "c", &newcomer(2)).unwrap_err();
    assert!(told.contains("ha-server member add 1@HOST:PORT"), "{told}");
    let near = Member { address: "127.0.0.1:3000".to_owned(), ..member(2) };
    assert_eq!(view.addition(&near, "c", &newcomer(2)), Ok(Addition::Add));
    assert_eq!(view.addition(&member(1), "c", &said(1)), Ok(Addition::Move));
}

#[test]
fn lead_goes_to_a_voter_that_is_there_with_the_highest_priority() {
    let mut view = group(&[1, 2, 3], &[4]);
    change(&mut view, 2, |voter| voter.said.as_mut().unwrap().priority = 5);
    change(&mut view, 4, |learner| learner.said.as_mut().unwrap().priority = 9);
    assert_eq!(view.heir(None), Ok(NodeId(2)));
    assert_eq!(view.heir(Some(NodeId(3))), Ok(NodeId(3)));
    assert!(view.heir(Some(NodeId(4))).unwrap_err().contains("promote it first"));
    change(&mut view, 2, |voter| voter.said = None);
    assert_eq!(view.heir(None), Ok(NodeId(3)));
    assert!(view.heir(Some(NodeId(2))).unwrap_err().contains("does not answer"));
    assert!(group(&[1], &[2]).heir(None).is_err());
}

#[test]
fn only_a_higher_priority_takes_the_lead_away() {
    let mut view = group(&[1, 2, 3], &[]);
    change(&mut view, 3, |voter| voter.said.as_mut().unwrap().priority = 5);
    assert_eq!(view.preferred(4), Some(NodeId(3)));
    assert_eq!(view.preferred(5), None);
    change(&mut view, 3, |voter| voter.said.as_mut().unwrap().applied = 0);
    assert_eq!(view.preferred(4), None);
}
