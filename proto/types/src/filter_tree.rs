//! Which topic filters match a topic name?
//!
//! Filters without wildcards are in one hash table: a match is one lookup, however many there are.
//! Filters with wildcards are in a tree with one node per distinct prefix, which is walked only
//! where it has nodes. Tables and branches that empty give their memory back.
//!
//! The walk visits each prefix of a filter that matches the beginning of the topic, once. So a match
//! costs at most as many steps as there are prefixes of filters with wildcards: only a client that
//! may hold many overlapping filters (2^k of them combine `+` and a name over k levels) can make it
//! expensive, and the limit of filters per client bounds it. 128 levels of `+` alone are 128 steps.

mod node;
mod table;

use crate::topic::{TopicFilter, TopicName};
use node::Node;
use table::{Seed, Table};

/// A map from topic filters to `T` that can be asked for all filters matching a topic name.
///
/// Holds as many filters as its owner lets in.
#[derive(Clone, Debug)]
pub struct FilterTree<T> {
    seed: Seed,
    exact: Table<Exact<T>>,
    wild: Node<T>,
    wild_len: usize,
}

/// A filter without wildcards.
#[derive(Clone, Debug)]
struct Exact<T> {
    filter: TopicFilter,
    value: T,
}

impl<T> Exact<T> {
    fn is(name: &[u8]) -> impl Fn(&Self) -> bool {
        move |exact| exact.filter.as_str().as_bytes() == name
    }
}

impl<T> Default for FilterTree<T> {
    fn default() -> Self {
        Self::with_seed(0)
    }
}

impl<T> FilterTree<T> {
    /// An empty tree whose hashes anybody can compute: for filters from those who are trusted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty tree whose hashes cannot be computed without `seed`, so that nobody can choose
    /// filters that are slow to find. The seed changes nothing that can be observed.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        let (exact, wild) = (Table::default(), Node::default());
        Self { seed: Seed::new(seed), exact, wild, wild_len: 0 }
    }

    /// Number of filters that have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.wild_len
    }

    /// Whether no filter has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of exactly this filter.
    #[must_use]
    pub fn get(&self, filter: &TopicFilter) -> Option<&T> {
        let path = filter.as_str().as_bytes();
        if filter.has_wildcards() {
            return self.wild.find(&self.seed, path);
        }
        self.exact.find(self.seed.hash(path), Exact::is(path)).map(|exact| &exact.value)
    }

    /// The value of exactly this filter, made with `T::default()` when there is none.
    pub fn entry(&mut self, filter: &TopicFilter) -> &mut T
    where
        T: Default,
    {
        let path = filter.as_str().as_bytes();
        if filter.has_wildcards() {
            let slot = self.wild.slot(&self.seed, path);
            self.wild_len += usize::from(slot.is_none());
            return slot.get_or_insert_default();
        }
        let new = || Exact { filter: filter.clone(), value: T::default() };
        &mut self.exact.find_or_insert(self.seed.hash(path), Exact::is(path), new).value
    }

    /// Changes the value of exactly this filter, and removes the filter when `keep` says no.
    /// Does nothing for a filter that has no value.
    pub fn retain(&mut self, filter: &TopicFilter, keep: impl FnOnce(&mut T) -> bool) {
        let path = filter.as_str().as_bytes();
        if filter.has_wildcards() {
            self.wild_len -= usize::from(self.wild.retain(&self.seed, Some(path), keep));
            return;
        }
        let hash = self.seed.hash(path);
        let found = self.exact.find_mut(hash, Exact::is(path));
        if found.is_some_and(|exact| !keep(&mut exact.value)) {
            self.exact.remove(hash, Exact::is(path));
        }
    }

    /// Changes every value, and removes each filter for which `keep` says no. It is asked in no
    /// particular order.
    pub fn retain_all(&mut self, keep: impl Fn(&mut T) -> bool) {
        self.exact.retain(|exact| keep(&mut exact.value));
        self.wild_len -= self.wild.retain_all(&keep);
    }

    /// Calls `found` once for each filter that matches `topic`.
    ///
    /// The order follows from the filters alone: first the one that is the topic itself, then those
    /// with wildcards, of which one that has `#` where another goes on comes before it, and one that
    /// has the topic's level before one that has `+`.
    ///
    /// Filters that begin with a wildcard do not match topics that begin with `$`
    /// [MQTT-4.7.2-1].
    pub fn for_each_match<'a>(&'a self, topic: &TopicName, mut found: impl FnMut(&'a T)) {
        let topic = topic.as_bytes();
        if !self.exact.is_empty()
            && let Some(exact) = self.exact.find(self.seed.hash(topic), Exact::is(topic))
        {
            found(&exact.value);
        }
        if topic.starts_with(b"$") {
            self.wild.visit_named(&self.seed, topic, &mut found);
        } else {
            self.wild.visit(&self.seed, Some(topic), &mut found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text.as_bytes()).unwrap()
    }

    fn name(text: &str) -> TopicName {
        TopicName::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn matches(tree: &FilterTree<String>, topic: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        tree.for_each_match(&name(topic), |value| {
            assert!(found.insert(value.clone()), "{value} reported twice");
        });
        found
    }

    #[test]
    fn removing_the_last_filter_leaves_an_empty_root() {
        let mut tree = FilterTree::<u32>::new();
        for text in ["a/b/c", "a/+/c", "a/#", "+", "#"] {
            *tree.entry(&filter(text)) = 1;
        }
        assert_eq!(tree.len(), 5);
        for text in ["a/b/c", "a/+/c", "a/#", "+", "#", "not/there"] {
            tree.retain(&filter(text), |_| false);
        }
        assert_eq!(tree.len(), 0);
        assert!(tree.wild.is_empty());
    }

    #[test]
    fn changed_value_stays_when_kept() {
        let mut tree = FilterTree::<u32>::new();
        *tree.entry(&filter("a/+")) = 1;
        tree.retain(&filter("a/+"), |value| {
            *value = 7;
            true
        });
        assert_eq!(tree.get(&filter("a/+")), Some(&7));
        tree.retain_all(|value| *value != 7);
        assert!(tree.is_empty() && tree.wild.is_empty());
    }

    #[test]
    fn order_of_matches_follows_from_the_filters_alone() {
        let in_order =
            ["a/b/c", "#", "a/#", "a/b/#", "a/b/c/#", "a/b/+", "a/+/c", "a/+/+", "+/b/c", "+/+/#"];
        let found = |mut tree: FilterTree<String>, filters: &mut dyn Iterator<Item = &&str>| {
            for text in filters {
                *tree.entry(&filter(text)) = (*text).to_owned();
            }
            let mut found = Vec::new();
            tree.for_each_match(&name("a/b/c"), |value| found.push(value.clone()));
            found
        };
        assert_eq!(found(FilterTree::with_seed(1), &mut in_order.iter()), in_order);
        assert_eq!(found(FilterTree::with_seed(2), &mut in_order.iter().rev()), in_order);
    }

    /// [MQTT-4.7.2-1]
    #[test]
    fn dollar_topic_is_matched_by_name_only() {
        let mut tree = FilterTree::<String>::new();
        for text in ["#", "+/x", "$SYS/x", "$SYS/+", "$SYS/#"] {
            *tree.entry(&filter(text)) = text.to_owned();
        }
        let expected = ["$SYS/x", "$SYS/+", "$SYS/#"].map(str::to_owned);
        assert_eq!(matches(&tree, "$SYS/x"), BTreeSet::from(expected));
    }

    #[test]
    fn crowded_level_finds_each_child_and_empties() {
        let mut tree = FilterTree::<String>::with_seed(7);
        let texts: Vec<_> = (0..20_000).map(|n| format!("a/{n}/+")).collect();
        for text in &texts {
            *tree.entry(&filter(text)) = text.clone();
        }
        assert_eq!(matches(&tree, "a/19999/x"), BTreeSet::from(["a/19999/+".to_owned()]));
        assert_eq!(matches(&tree, "a/20000/x"), BTreeSet::new());
        for text in &texts {
            assert_eq!(tree.get(&filter(text)), Some(text));
            tree.retain(&filter(text), |_| false);
        }
        assert!(tree.is_empty() && tree.wild.is_empty());
    }

    #[test]
    fn plus_at_each_of_128_levels_matches_only_its_own_depth() {
        let mut tree = FilterTree::<String>::new();
        for levels in 1..=128 {
            let text = ["+"].repeat(levels).join("/");
            tree.entry(&filter(&text)).clone_from(&text);
        }
        for levels in [1, 127, 128] {
            let expected = ["+"].repeat(levels).join("/");
            let topic = ["a"].repeat(levels).join("/");
            assert_eq!(matches(&tree, &topic), BTreeSet::from([expected]));
        }
    }

    fn level() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["a", "b", "", "$x", "é"]).prop_map(str::to_owned)
    }

    fn any_filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![4 => level(), 2 => Just("+".to_owned())];
        (prop::collection::vec(level, 1..4), prop::bool::ANY).prop_map(|(mut levels, rest)| {
            if rest {
                levels.push("#".to_owned());
            }
            levels.join("/")
        })
    }

    proptest! {
        #[test]
        fn tree_agrees_with_matching_each_filter(
            filters in prop::collection::vec((any_filter(), prop::bool::ANY), 0..20),
            topic in prop::collection::vec(level(), 1..5),
        ) {
            let topic = topic.join("/");
            let filters: Vec<_> = filters.iter().filter(|(text, _)| !text.is_empty()).collect();
            prop_assume!(!topic.is_empty());
            let mut tree = FilterTree::<String>::new();
            for (text, _) in &filters {
                tree.entry(&filter(text)).clone_from(text);
            }
            let mut left: BTreeSet<_> = filters.iter().map(|(text, _)| text.clone()).collect();
            for (text, _) in filters.iter().filter(|(_, stays)| !stays) {
                tree.retain(&filter(text), |_| false);
                left.remove(text);
            }
            prop_assert_eq!(tree.len(), left.len());
            let is_match = |text: &String| filter(text).matches(&name(&topic));
            let expected: BTreeSet<_> = left.iter().filter(|text| is_match(text)).cloned().collect();
            prop_assert_eq!(matches(&tree, &topic), expected);
            tree.retain_all(|value| *value == topic);
            prop_assert_eq!(tree.len(), usize::from(left.contains(&topic)));
            prop_assert!(tree.wild.is_empty());
        }
    }
}
