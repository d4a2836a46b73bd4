//! A tree over the levels of topic filters: which filters match a topic name?
//!
//! One node per distinct prefix of filters. A match visits only nodes whose path matches, so its
//! cost follows the matching filters, not all filters. Empty branches are removed, so memory
//! returns when filters leave.

use std::collections::BTreeMap;

use crate::topic::{TopicFilter, TopicName};

/// A map from topic filters to `T` that can be asked for all filters matching a topic name.
#[derive(Clone, Debug)]
pub struct FilterTree<T> {
    root: Node<T>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Node<T> {
    /// Value of the filter that ends here.
    value: Option<T>,
    /// Value of the filter that continues with `#` and so ends there.
    rest: Option<T>,
    /// Child for `+`.
    any: Option<Box<Node<T>>>,
    children: BTreeMap<Box<str>, Node<T>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { value: None, rest: None, any: None, children: BTreeMap::new() }
    }
}

impl<T> Default for FilterTree<T> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<T> FilterTree<T> {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of filters that have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no filter has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of exactly this filter.
    #[must_use]
    pub fn get(&self, filter: &TopicFilter) -> Option<&T> {
        let mut node = &self.root;
        for level in filter.as_str().split('/') {
            node = match level {
                "#" => return node.rest.as_ref(),
                "+" => node.any.as_deref()?,
                name => node.children.get(name)?,
            };
        }
        node.value.as_ref()
    }

    /// The value of exactly this filter, made with `T::default()` when there is none.
    pub fn entry(&mut self, filter: &TopicFilter) -> &mut T
    where
        T: Default,
    {
        let slot = self.root.slot(filter.as_str());
        self.len += usize::from(slot.is_none());
        slot.get_or_insert_default()
    }

    /// Changes the value of exactly this filter, and removes the filter when `keep` says no.
    /// Does nothing for a filter that has no value.
    pub fn retain(&mut self, filter: &TopicFilter, keep: impl FnOnce(&mut T) -> bool) {
        self.len -= usize::from(self.root.retain(Some(filter.as_str()), keep));
    }

    /// Changes every value, and removes each filter for which `keep` says no.
    pub fn retain_all(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        self.len -= self.root.retain_all(&mut keep);
    }

    /// Calls `found` once for each filter that matches `topic`.
    ///
    /// Filters that begin with a wildcard do not match topics that begin with `$`
    /// [MQTT-4.7.2-1].
    pub fn for_each_match<'a>(&'a self, topic: &TopicName, mut found: impl FnMut(&'a T)) {
        let topic = topic.as_str();
        if !topic.starts_with('$') {
            return self.root.visit(Some(topic), &mut found);
        }
        let (level, rest) = split_level(topic);
        if let Some(child) = self.root.children.get(level) {
            child.visit(rest, &mut found);
        }
    }
}

/// The first level of `path`, and what follows its `/`.
fn split_level(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((level, rest)) => (level, Some(rest)),
        None => (path, None),
    }
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        self.value.is_none()
            && self.rest.is_none()
            && self.any.is_none()
            && self.children.is_empty()
    }

    fn slot(&mut self, filter: &str) -> &mut Option<T> {
        let mut node = self;
        for level in filter.split('/') {
            node = match level {
                "#" => return &mut node.rest,
                "+" => node.any.get_or_insert_default(),
                // `entry` would allocate the key even where the child exists.
                name if node.children.contains_key(name) => {
                    node.children.get_mut(name).expect("just found")
                }
                name => node.children.entry(name.into()).or_default(),
            };
        }
        &mut node.value
    }

    /// Returns whether a value was removed. Recurses once per level, of which there are at most
    /// [`TOPIC_LEVELS_MAX`](crate::limits::TOPIC_LEVELS_MAX).
    fn retain(&mut self, filter: Option<&str>, keep: impl FnOnce(&mut T) -> bool) -> bool {
        let Some(path) = filter else { return drop_unless(&mut self.value, keep) };
        let (level, rest) = split_level(path);
        match level {
            "#" => drop_unless(&mut self.rest, keep),
            "+" => {
                let Some(child) = &mut self.any else { return false };
                let removed = child.retain(rest, keep);
                if child.is_empty() {
                    self.any = None;
                }
                removed
            }
            name => {
                let Some(child) = self.children.get_mut(name) else { return false };
                let removed = child.retain(rest, keep);
                if child.is_empty() {
                    self.children.remove(name);
                }
                removed
            }
        }
    }

    fn retain_all(&mut self, keep: &mut impl FnMut(&mut T) -> bool) -> usize {
        let mut removed = usize::from(drop_unless(&mut self.value, &mut *keep));
        removed += usize::from(drop_unless(&mut self.rest, &mut *keep));
        if let Some(child) = &mut self.any {
            removed += child.retain_all(keep);
            if child.is_empty() {
                self.any = None;
            }
        }
        self.children.retain(|_, child| {
            removed += child.retain_all(keep);
            !child.is_empty()
        });
        removed
    }

    fn visit<'a>(&'a self, topic: Option<&str>, found: &mut impl FnMut(&'a T)) {
        // `#` matches its parent level too [MQTT-4.7.1-2].
        if let Some(value) = &self.rest {
            found(value);
        }
        let Some(path) = topic else {
            return self.value.iter().for_each(found);
        };
        let (level, rest) = split_level(path);
        if let Some(child) = self.children.get(level) {
            child.visit(rest, found);
        }
        if let Some(child) = &self.any {
            child.visit(rest, found);
        }
    }
}

/// Empties `slot` when `keep` says no; true when a value was removed.
fn drop_unless<T>(slot: &mut Option<T>, keep: impl FnOnce(&mut T) -> bool) -> bool {
    let removed = slot.as_mut().is_some_and(|value| !keep(value));
    if removed {
        *slot = None;
    }
    removed
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
        assert!(tree.root.is_empty());
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
        assert!(tree.is_empty() && tree.root.is_empty());
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
            filters in prop::collection::vec(any_filter(), 0..20),
            topic in prop::collection::vec(level(), 1..5),
        ) {
            let topic = topic.join("/");
            let filters: Vec<_> = filters.iter().filter(|f| !f.is_empty()).collect();
            prop_assume!(!topic.is_empty());
            let mut tree = FilterTree::<String>::new();
            for text in &filters {
                *tree.entry(&filter(text)) = (*text).clone();
            }
            let expected: BTreeSet<_> = filters
                .iter()
                .filter(|text| filter(text).matches(&name(&topic)))
                .map(|text| (*text).clone())
                .collect();
            prop_assert_eq!(matches(&tree, &topic), expected);
        }
    }
}
