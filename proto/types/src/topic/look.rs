//! What a filter has to look at of topic names that are sorted.
//!
//! Sorted names are a tree whose branches can be passed over: where a name does not match, the filter says
//! from which name on the next one can. So `+/state` costs as much as there are first levels, however many
//! topics each of them has.

use super::{TopicFilter, TopicName};

/// What a name is to a filter that goes through all names in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It matches.
    Matches,
    /// It does not; the next one may.
    Next,
    /// Nothing matches that lies between it and this text, which is greater.
    From(String),
    /// Nothing matches from here on.
    End,
}

impl TopicFilter {
    /// Looks at a name, among names that are sorted by their bytes.
    pub(crate) fn look(&self, topic: &TopicName) -> Look {
        let (filter, topic) = (self.as_str(), topic.as_str());
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            // The character after it: past all names that applications do not share (§4.7.2).
            return Look::From("%".to_owned());
        }
        // Where the level begins that is looked at; `None`: the name has no more.
        let mut level_at = Some(0);
        for level in filter.split('/') {
            if level == "#" {
                return Look::Matches;
            }
            let Some(at) = level_at else { return Look::Next };
            let end = topic[at..].find('/').map(|length| at + length);
            if level != "+" && level != &topic[at..end.unwrap_or(topic.len())] {
                return other_level(topic, at, level);
            }
            level_at = end.map(|end| end + 1);
        }
        level_at.map_or(Look::Matches, |at| after_branch(topic, at))
    }
}

/// The level of `topic` that begins at `at` is not the one that must be there.
fn other_level(topic: &str, at: usize, level: &str) -> Look {
    let sought = topic[..at].to_owned() + level;
    // Names such as `a-b` lie between `a` and what is below it.
    let below = sought.clone() + "/";
    if *topic < *sought {
        Look::From(sought)
    } else if *topic < *below {
        Look::From(below)
    } else {
        after_branch(topic, at)
    }
}

/// Past all names that begin as `topic` does up to `at`, where a level begins.
fn after_branch(topic: &str, at: usize) -> Look {
    match topic[..at].strip_suffix('/') {
        // The character after `/`.
        Some(branch) => Look::From(branch.to_owned() + "0"),
        None => Look::End,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Bound::{Excluded, Included, Unbounded};

    use bytes::Bytes;

    use super::*;

    fn topic(text: &str) -> TopicName {
        TopicName::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text.as_bytes()).unwrap()
    }

    /// What matches, and how many names were looked at.
    fn found<'a>(names: &'a BTreeSet<TopicName>, filter: &TopicFilter) -> (Vec<&'a str>, usize) {
        let (mut found, mut looks) = (Vec::new(), 0);
        let mut from = Unbounded;
        while let Some(name) = names.range((from.clone(), Unbounded)).next() {
            looks += 1;
            from = Excluded(name.clone());
            match filter.look(name) {
                Look::Matches => found.push(name.as_str()),
                Look::Next => (),
                Look::From(text) => {
                    assert!(text.as_str() > name.as_str(), "{name:?} leads back to {text}");
                    from = Included(topic(&text));
                }
                Look::End => break,
            }
        }
        (found, looks)
    }

    /// All texts of up to `length` of these characters: `-` and `.` sort before `/`, `0` right after it.
    fn texts(characters: &[char], length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..length {
            let longer =
                last.iter().flat_map(|text| characters.iter().map(move |c| format!("{text}{c}")));
            last = longer.collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn every_filter_finds_what_it_matches_and_nothing_else() {
        let names = texts(&['a', '-', '/', '0', '$'], 4);
        let names: BTreeSet<_> =
            names.iter().filter(|text| !text.is_empty()).map(|text| topic(text)).collect();
        let filters = texts(&['a', '/', '+', '#', '-', '$'], 4);
        let filters = filters.iter().filter_map(|text| TopicFilter::parse(text.as_bytes()).ok());
        for filter in filters {
            let all: Vec<_> =
                names.iter().filter(|name| filter.matches(name)).map(TopicName::as_str).collect();
            assert_eq!(found(&names, &filter).0, all, "{filter:?}");
        }
    }

    #[test]
    fn branches_are_passed_over() {
        let names =
            (0..100).flat_map(|device| (0..1_000).map(move |value| format!("{device}/{value}")));
        let names: BTreeSet<_> = names.map(|text| topic(&text)).collect();
        for (text, matches, looks) in
            [("+/500", 100, 300), ("7/+", 1_000, 1_101), ("+/none", 0, 200), ("none/#", 0, 100)]
        {
            let (found, looked) = found(&names, &filter(text));
            assert_eq!(found.len(), matches, "{text}");
            assert!(looked <= looks, "{text}: looked at {looked} of {} names", names.len());
        }
    }
}
