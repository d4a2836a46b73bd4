//! Second pass: collects the events that prove what was found, so that the first keeps none.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{At, Event, Name, What};
use crate::findings::{Finding, Findings};
use crate::history::History;
use crate::verdict::{Counts, Kind, PROOF_MAX, Verdict, Violation};

/// Which findings an event may belong to.
#[derive(Default)]
struct Wanted {
    at: BTreeMap<At, Vec<usize>>,
    messages: BTreeMap<(Name, u32), Vec<usize>>,
}

impl Wanted {
    fn by(findings: &[Finding]) -> Self {
        let mut wanted = Self::default();
        for (index, finding) in findings.iter().enumerate() {
            for &at in &finding.at {
                wanted.at.entry(at).or_default().push(index);
            }
            for &message in &finding.messages {
                wanted.messages.entry(message).or_default().push(index);
            }
        }
        wanted
    }
}

/// The message that an event is about, and the client that got it, if it is a delivery.
fn subject(event: Event) -> Option<((Name, u32), Option<Name>)> {
    match event.what {
        What::Publishing { number, .. } | What::Acknowledged { number, .. } => {
            Some(((event.who, number), None))
        }
        What::Delivered { publisher, number, .. } => Some(((publisher, number), Some(event.who))),
        _ => None,
    }
}

fn proofs(history: &History, findings: &[Finding]) -> Vec<BTreeMap<At, Event>> {
    let wanted = Wanted::by(findings);
    let mut proofs = vec![BTreeMap::new(); findings.len()];
    for (at, event) in history.events() {
        let mut belongs = BTreeSet::new();
        belongs.extend(wanted.at.get(&at).into_iter().flatten().copied());
        if let Some((message, client)) = subject(event) {
            let found = wanted.messages.get(&message).into_iter().flatten().copied();
            let room = |&index: &usize| {
                proofs[index].len() + findings[index].at.len() < PROOF_MAX
                    && client.is_none_or(|client| client == findings[index].client)
            };
            belongs.extend(found.filter(room));
        }
        for index in belongs {
            proofs[index].insert(at, event);
        }
    }
    proofs
}

/// Puts findings into words.
pub(crate) fn verdict(history: &History, counts: Counts, mut findings: Findings) -> Verdict {
    findings.kept.sort_by_key(|finding| finding.kind);
    let proofs =
        if findings.kept.is_empty() { Vec::new() } else { proofs(history, &findings.kept) };
    let in_words = |proof: BTreeMap<At, Event>| {
        let proof = proof.into_iter().take(PROOF_MAX);
        proof.map(|(at, event)| (at, history.in_words(event))).collect()
    };
    let violations = findings.kept.into_iter().zip(proofs).map(|(finding, proof)| Violation {
        kind: finding.kind,
        sentence: finding.sentence,
        proof: in_words(proof),
    });
    let totals = Kind::ALL.into_iter().zip(findings.totals).filter(|&(_, total)| total > 0);
    Verdict {
        counts: Counts { left_out: history.left_out(), ..counts },
        violations: violations.collect(),
        totals: totals.collect(),
    }
}
