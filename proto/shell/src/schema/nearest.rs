//! Which known name a mistyped one was meant to be.

/// The known name that is closest to `name`, if it is close: at most a third of its letters differ.
/// Case does not count. Of two that are equally close the first one.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let distance_to = |known: &'a str| {
        let limit = (known.len() / 3).max(1);
        // Also bounds the work: a name may be as long as a line.
        let comparable = known.len().abs_diff(name.len()) <= limit;
        let distance = comparable.then(|| distance(&name, &known.to_ascii_lowercase()))?;
        (distance <= limit).then_some((distance, known))
    };
    let close = known.into_iter().filter_map(distance_to);
    close.min_by_key(|&(distance, _)| distance).map(|(_, known)| known)
}

/// Damerau–Levenshtein distance (optimal string alignment) in bytes: insert, delete, replace, swap
/// two neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: [&str; 3] = ["DISTRIBUTION_PORT", "DISTRIBUTION_IP", "IP"];

    #[test]
    fn one_edit_of_each_sort_costs_one() {
        for typed in ["abcd", "bc", "axc", "bac"] {
            assert_eq!(distance(typed, "abc"), 1, "{typed}");
        }
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn a_mistyped_name_finds_the_one_that_was_meant() {
        assert_eq!(nearest("distribution_prot", KNOWN), Some("DISTRIBUTION_PORT"));
        assert_eq!(nearest("DISTRIBUTON_IP", KNOWN), Some("DISTRIBUTION_IP"));
        assert_eq!(nearest("PI", KNOWN), Some("IP"));
    }

    #[test]
    fn a_third_of_the_letters_may_differ_and_no_more() {
        assert_eq!(nearest("abXXef", ["abcdef"]), Some("abcdef"));
        assert_eq!(nearest("abXXXf", ["abcdef"]), None);
        assert_eq!(nearest("", KNOWN), None);
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_bounded(a in ".{0,12}", b in ".{0,12}") {
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert!(distance(&a, &b) <= a.len().max(b.len()));
        }
    }
}
