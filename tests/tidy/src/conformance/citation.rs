//! Statements that comments name.

use std::path::Path;

use super::{Specification, StatementId};

/// A statement that a comment names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Citation {
    /// Of which specification.
    pub specification: Specification,
    /// Which one.
    pub id: StatementId,
}

impl Specification {
    /// Of which statements a file speaks where it does not say so.
    pub fn of_file(path: &Path) -> Self {
        let is_old = |part: &str| part == "spec_mqtt3" || part == "spec_mqtt3.rs";
        let is_old = path.iter().any(|part| part.to_str().is_some_and(is_old));
        if is_old { Self::V311 } else { Self::V5 }
    }
}

/// The statements that a comment names, ranges spelled out.
///
/// # Errors
/// The first number that has another form.
pub fn cited(comment: &str, default: Specification) -> Result<Vec<Citation>, String> {
    let mut citations: Vec<Citation> = Vec::new();
    let mut rest = comment;
    while let Some((before, after)) = rest.split_once("[MQTT-") {
        let (number, after) = after.split_once(']').ok_or(after)?;
        let id = StatementId::parse(&format!("MQTT-{number}")).ok_or(number)?;
        let last = citations.last().copied();
        let specification = said(before).unwrap_or(match last {
            Some(last) if [", ", " and ", " to "].contains(&before) => last.specification,
            _ => default,
        });
        if let Some(last) = last.filter(|last| before == " to " && last.id.section == id.section) {
            let between =
                (last.id.number + 1..id.number).map(|number| StatementId { number, ..id });
            citations.extend(between.map(|id| Citation { specification, id }));
        }
        citations.push(Citation { specification, id });
        rest = after;
    }
    Ok(citations)
}

/// What stands right before a number.
fn said(before: &str) -> Option<Specification> {
    let before = before.strip_suffix(' ')?;
    Specification::ALL.into_iter().find(|specification| {
        let rest = before.strip_suffix(specification.name());
        rest.is_some_and(|rest| !rest.ends_with(|c: char| c.is_ascii_digit() || c == '.'))
    })
}

/// The comments of a file that have lines of their own: where each begins, and its text in one line.
pub fn comments(text: &str) -> Vec<(usize, String)> {
    let mut comments: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    for (at, line) in text.lines().enumerate() {
        let Some(words) = line.trim_start().strip_prefix("//") else {
            is_open = false;
            continue;
        };
        let words = words.trim_start_matches(['/', '!']).trim();
        match comments.last_mut().filter(|_| is_open) {
            Some((_, comment)) => *comment = format!("{comment} {words}"),
            None => comments.push((at + 1, words.to_owned())),
        }
        is_open = true;
    }
    comments
}
