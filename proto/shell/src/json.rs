//! Reads the older `config.json` of the server into the form of an INI file.
//!
//! Decides how JSON maps to sections and keys, nothing about their meaning. Both shapes are taken:
//! `{"HA_port": 8082}`, whose keys belong to the first section of the schema, and
//! `{"HA_SERVER": {"HA_port": 8082}}`. Values are text, numbers, `true` and `false`.
//!
//! The line of a key is that of its first occurrence, because the parser does not tell. Of a key
//! that is written twice in exactly the same way, the last one counts (so does every JSON parser).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    ini::{Block, Document, Entry, FILE_BYTES_MAX},
    problem::{ConfigError, Problem, Problems, shown},
};

/// Reads `bytes`. `file` is only named in messages; `first_section` gets the keys outside of any.
pub fn parse(file: &str, bytes: &[u8], first_section: &str) -> Result<Document, ConfigError> {
    let mut problems = Problems::default();
    let document = scan(&file.into(), bytes, first_section, &mut problems);
    problems.into_result()?;
    Ok(document.expect("without a problem there is a document"))
}

/// As [`parse`], but what can be read is returned next to the mistakes. `None`: it is no object.
pub(crate) fn scan(
    file: &Arc<str>,
    bytes: &[u8],
    first_section: &str,
    problems: &mut Problems,
) -> Option<Document> {
    match object_of(bytes) {
        Ok((text, members)) => {
            let mut reader = Reader { file, text, problems };
            Some(Document { file: Arc::clone(file), blocks: reader.blocks(members, first_section) })
        }
        Err((line, message)) => {
            problems.push(Problem::at_line(file, line, message));
            None
        }
    }
}

type Members = Map<String, Value>;

/// The text and its outermost object, or the line of what makes it none.
fn object_of(bytes: &[u8]) -> Result<(&str, Members), (usize, String)> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err((1, format!("the file is larger than {FILE_BYTES_MAX} bytes")));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let value = serde_json::from_slice(bytes).map_err(|error| {
        let told = error.to_string();
        let (what, _) = told.rsplit_once(" at line ").unwrap_or((&told, ""));
        (error.line().max(1), format!("not JSON: {what} (column {})", error.column()))
    })?;
    let Value::Object(members) = value else {
        return Err((1, "expected an object: { ... }".to_owned()));
    };
    Ok((str::from_utf8(bytes).expect("JSON that was parsed is UTF-8"), members))
}

struct Reader<'a> {
    file: &'a Arc<str>,
    text: &'a str,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    /// Keys outside of a section come first. An empty object is a first section without keys.
    fn blocks(&mut self, members: Members, first_section: &str) -> Vec<Block> {
        let mut first = Block { section: first_section.to_owned(), line: 1, entries: Vec::new() };
        let is_flat = members.is_empty() || members.values().any(|value| !value.is_object());
        let mut nested = Vec::new();
        for (name, value) in members {
            match value {
                Value::Object(entries) => nested.push(self.block(name, entries)),
                scalar => first.entries.extend(self.entry(0, name, &scalar)),
            }
        }
        is_flat.then_some(first).into_iter().chain(nested).collect()
    }

    fn block(&mut self, section: String, members: Members) -> Block {
        let start = self.offset(0, &section);
        let entry = |(key, value)| self.entry(start, key, &value);
        let entries = members.into_iter().filter_map(entry).collect();
        Block { section, line: self.line(start), entries }
    }

    fn entry(&mut self, start: usize, key: String, value: &Value) -> Option<Entry> {
        let line = self.line(self.offset(start, &key));
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(answer) => answer.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                let message = format!("{}: expected text, a number, true or false", shown(&key));
                self.problems.push(Problem::at_line(self.file, line, message));
                return None;
            }
        };
        Some(Entry { key, value, line })
    }

    /// Where `"name"` is first written at or after `start`; `start` if it is written with escapes.
    fn offset(&self, start: usize, name: &str) -> usize {
        self.text[start..].find(&format!("\"{name}\"")).map_or(start, |found| start + found)
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text[..offset].matches('\n').count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `section:line key=value:line ...` of every block.
    fn read(text: &str) -> Vec<String> {
        let document = parse("config.json", text.as_bytes(), "FIRST").unwrap();
        let entry = |e: &Entry| format!(" {}={}:{}", e.key, e.value, e.line);
        let line = |b: &Block| {
            let entries: String = b.entries.iter().map(entry).collect();
            format!("{}:{}{entries}", b.section, b.line)
        };
        document.blocks.iter().map(line).collect()
    }

    fn error(text: impl AsRef<[u8]>) -> String {
        parse("config.json", text.as_ref(), "FIRST").unwrap_err().to_string()
    }

    #[test]
    fn keys_outside_of_a_section_belong_to_the_first_one() {
        assert_eq!(read("{\n\"port\": 8082,\n\"tls\": true}"), ["FIRST:1 port=8082:2 tls=true:3"]);
        assert_eq!(read("\u{feff}{}"), ["FIRST:1"]);
    }

    #[test]
    fn a_nested_object_is_a_section() {
        let text = "{\n\"A\": {\"k\": \"1\"},\n\"B\": {\n\"k\": 2}}";
        assert_eq!(read(text), ["A:2 k=1:2", "B:3 k=2:4"]);
    }

    #[test]
    fn both_shapes_may_be_mixed() {
        assert_eq!(read("{\"A\": {},\n\"k\": 1}"), ["FIRST:1 k=1:2", "A:1"]);
    }

    #[test]
    fn what_is_no_json_is_told_with_its_line() {
        let told = "config.json:2: not JSON: expected `,` or `}` (column 1)";
        assert_eq!(error("{\"a\": 1\n\"b\": 2}"), told);
        assert!(error("").starts_with("config.json:1: not JSON: "));
        assert!(error(b"{\"\xff\": 1}").starts_with("config.json:1: not JSON: "));
        assert_eq!(error("[1]"), "config.json:1: expected an object: { ... }");
    }

    #[test]
    fn a_value_that_is_no_scalar_is_told_with_its_line() {
        let told = |line, key| {
            format!("config.json:{line}: {key}: expected text, a number, true or false")
        };
        assert_eq!(error("{\n\"a\": [1]}"), told(2, "a"));
        assert_eq!(error("{\"A\": {\n\"b\": null}}"), told(2, "b"));
    }

    #[test]
    fn a_file_above_one_mebibyte_is_not_read() {
        let file = vec![b' '; FILE_BYTES_MAX + 1];
        assert_eq!(error(file), "config.json:1: the file is larger than 1048576 bytes");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([\\[\\]{}:,\" \n\\\\kAé1]|null|\"k\": ){0,30}") {
            let _ = parse("x", text.as_bytes(), "FIRST");
        }
    }
}
