//! Tests in a source file, and what they say that they test.

use std::path::{Path, PathBuf};

use super::{Citation, Specification, cited};

/// A test that names at least one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTest {
    /// Below the root of the repository.
    pub file: PathBuf,
    /// Of the function.
    pub name: String,
    /// Named in its doc comment.
    pub citations: Vec<Citation>,
}

/// What stands above a function.
#[derive(Debug, Default)]
struct Above {
    comment: String,
    is_test: bool,
    /// Inside an attribute of several lines.
    is_open: bool,
}

/// The tests of a file, those inside of `proptest!` too. One that is ignored is none, and numbers of
/// another form are left out: [`cited`] tells them.
pub fn tests_in(file: &Path, text: &str) -> Vec<FoundTest> {
    let mut above = Above::default();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = above.read(line) {
            let Above { comment, is_test, .. } = std::mem::take(&mut above);
            let citations = cited(&comment, Specification::of_file(file)).unwrap_or_default();
            if is_test && !citations.is_empty() {
                found.push(FoundTest { file: file.to_owned(), name, citations });
            }
        }
    }
    found
}

impl Above {
    /// The function that the line begins.
    fn read(&mut self, line: &str) -> Option<String> {
        if let Some(words) = line.strip_prefix("///") {
            self.comment = format!("{} {}", self.comment, words.trim()).trim().to_owned();
        } else if line.starts_with("#[") {
            self.is_open = !line.ends_with(']');
            self.is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            self.is_test &= !line.starts_with("#[ignore");
        } else if self.is_open {
            self.is_open = !line.ends_with(']');
        } else if let Some(name) = function(line) {
            return Some(name.to_owned());
        } else {
            *self = Self::default();
        }
        None
    }
}

fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let (name, _) = line.strip_prefix("fn ")?.split_once('(')?;
    Some(name)
}
