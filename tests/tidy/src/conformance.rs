//! Which test holds each normative statement of MQTT: read from the catalogues in
//! `docs/conformance` and from what tests say in their doc comments.
//!
//! A comment names a statement as `[MQTT-3.1.2-24]`. In a file or folder `spec_mqtt3` that is one of
//! 3.1.1, elsewhere one of 5.0, unless the comment says `3.1.1 [MQTT-…]` or `5.0 [MQTT-…]`; what
//! follows after a comma, `and` or `to` is of the same specification, and `to` means all between.
//!
//! What is *not* judged: whether a test tests what it says.

mod catalogue;
mod citation;
mod found;
mod page;

use std::path::PathBuf;

use crate::{files, read};

pub use catalogue::{Duty, Specification, Statement, StatementId, catalogue};
pub use citation::{Citation, cited, comments};
pub use found::{FoundTest, tests_in};
pub use page::{PAGE, page};

/// The files whose tests count. The rumqttd host is not among them: it keeps a part of MQTT only,
/// and its tests say nothing of what the other host does.
pub fn sources() -> Vec<PathBuf> {
    let is_source = |path: &PathBuf| {
        let counts = ["broker-plugin", "proto/types", "tests/e2e/tests"];
        path.extension().is_some_and(|ending| ending == "rs")
            && counts.iter().any(|folder| path.starts_with(folder))
            && !path.starts_with("broker-plugin/rumqttd")
    };
    files().into_iter().filter(is_source).collect()
}

/// Every test that names a statement.
pub fn tests() -> Vec<FoundTest> {
    sources().iter().flat_map(|path| tests_in(path, &read(path))).collect()
}

/// The tests of one statement.
pub fn tests_of(
    tests: &[FoundTest],
    specification: Specification,
    id: StatementId,
) -> impl Iterator<Item = &FoundTest> {
    tests.iter().filter(move |test| test.citations.contains(&Citation { specification, id }))
}
