//! Reads INI text and remembers on which line everything stands.
//!
//! Decides what a section, a key and a value look like. Does not know which of them exist: that is
//! [`crate::schema`]. Never panics, whatever the bytes are.
//!
//! ```text
//! # a comment line, also with ;
//! [SECTION]
//! KEY = value          # a comment after a blank
//! OTHER = "a # b"      ; quotes keep blanks and comment signs; there are no escapes
//! ```
//!
//! A byte order mark, CRLF, trailing blanks and a missing last newline are fine. Case does not count
//! in names. A section may be opened again, but a key stands in it once.

use std::{collections::HashMap, str, sync::Arc};

use crate::problem::{ConfigError, Problem, Problems, shown};

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Longest line that is read, in bytes, without its end.
pub const LINE_BYTES_MAX: usize = 4096;

/// What a file says, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The name of the file, for messages.
    pub file: Arc<str>,
    /// One for each section header, also when a name comes again.
    pub blocks: Vec<Block>,
}

/// A section header and the lines below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Name as written.
    pub section: String,
    /// Line of the header, counted from 1.
    pub line: usize,
    /// Its keys, in the order of the file.
    pub entries: Vec<Entry>,
}

/// One `KEY = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name as written.
    pub key: String,
    /// Without blanks around it, comment and quotes. May be empty.
    pub value: String,
    /// Line, counted from 1.
    pub line: usize,
}

/// Reads `bytes`. `file` is only named in messages. The error has all mistakes of the file.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Document, ConfigError> {
    let mut problems = Problems::default();
    let document = scan(&file.into(), bytes, &mut problems);
    problems.into_result()?;
    Ok(document.expect("without a problem there is a document"))
}

/// As [`parse`], but what can be read is returned next to the mistakes. `None`: it is not text.
pub(crate) fn scan(file: &Arc<str>, bytes: &[u8], problems: &mut Problems) -> Option<Document> {
    let text = match text_of(bytes) {
        Ok(text) => text,
        Err((line, message)) => {
            problems.push(Problem::at_line(file, line, message));
            return None;
        }
    };
    let mut scanner = Scanner { problems, blocks: Vec::new(), seen: HashMap::new() };
    for (index, line) in text.split('\n').enumerate() {
        if let Err(message) = scanner.take(index + 1, line) {
            scanner.problems.push(Problem::at_line(file, index + 1, message));
        }
    }
    Some(Document { file: Arc::clone(file), blocks: scanner.blocks })
}

/// The text without its byte order mark, or the line of what makes it none.
fn text_of(bytes: &[u8]) -> Result<&str, (usize, String)> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err((1, format!("the file is larger than {FILE_BYTES_MAX} bytes")));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (readable, text) = match str::from_utf8(bytes) {
        Ok(text) => (bytes.len(), text),
        Err(error) => (error.valid_up_to(), ""),
    };
    let control = (0..readable).find(|&at| is_binary(bytes, at));
    match control.or((readable < bytes.len()).then_some(readable)) {
        None => Ok(text),
        Some(at) => {
            let line = 1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
            Err((line, format!("not text: byte {:#04x}; save the file as UTF-8", bytes[at])))
        }
    }
}

/// A carriage return is text only as part of a line end.
fn is_binary(bytes: &[u8], at: usize) -> bool {
    match bytes[at] {
        b'\t' | b'\n' => false,
        b'\r' => !matches!(bytes.get(at + 1), None | Some(b'\r' | b'\n')),
        byte => byte.is_ascii_control(),
    }
}

struct Scanner<'a> {
    problems: &'a mut Problems,
    blocks: Vec<Block>,
    /// Section and key in lower case, and the line of the first.
    seen: HashMap<(String, String), usize>,
}

impl Scanner<'_> {
    fn take(&mut self, number: usize, line: &str) -> Result<(), String> {
        let line = line.trim_end_matches('\r');
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("the line is longer than {LINE_BYTES_MAX} bytes"));
        }
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Ok(());
        }
        match line.strip_prefix('[') {
            Some(header) => self.open(number, header),
            None => self.add(number, line),
        }
    }

    /// A header that is wrong opens a section as well, so that its keys are not reported too.
    fn open(&mut self, line: usize, header: &str) -> Result<(), String> {
        let (name, rest) = header.split_once(']').unwrap_or((without_comment(header), ""));
        let section = name.trim().to_owned();
        let verdict = if !header.contains(']') {
            Err(format!("[{} has no closing ]", shown(&section)))
        } else if section.is_empty() {
            Err("a section needs a name".to_owned())
        } else {
            only_comment(rest).map_err(|rest| format!("unexpected {rest} after [{section}]"))
        };
        let section = if verdict.is_ok() { section } else { String::new() };
        self.blocks.push(Block { section, line, entries: Vec::new() });
        verdict
    }

    fn add(&mut self, line: usize, text: &str) -> Result<(), String> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(format!("expected KEY = VALUE or [SECTION], found {}", shown(text)));
        };
        let key = key.trim();
        if key.is_empty() {
            return Err("a key is missing before =".to_owned());
        }
        let value = value_of(value)?.to_owned();
        let Some(block) = self.blocks.last_mut() else {
            self.blocks.push(Block { section: String::new(), line, entries: Vec::new() });
            return Err(format!("{} stands before any [SECTION]", shown(key)));
        };
        let name = (block.section.to_lowercase(), key.to_lowercase());
        let first = *self.seen.entry(name).or_insert(line);
        if first != line && !block.section.is_empty() {
            return Err(format!("{} is already set on line {first}", shown(key)));
        }
        block.entries.push(Entry { key: key.to_owned(), value, line });
        Ok(())
    }
}

fn value_of(text: &str) -> Result<&str, String> {
    match text.trim_start().strip_prefix('"') {
        None => Ok(without_comment(text).trim()),
        Some(quoted) => {
            let (value, rest) = quoted.split_once('"').ok_or("the closing \" is missing")?;
            only_comment(rest).map_err(|rest| format!("unexpected {rest} after the closing \""))?;
            Ok(value)
        }
    }
}

/// Cuts at the first `#` or `;` that follows a blank.
fn without_comment(text: &str) -> &str {
    let starts_comment = |at: usize| text[..at].ends_with(char::is_whitespace);
    let comment = text.match_indices(['#', ';']).find(|&(at, _)| starts_comment(at));
    comment.map_or(text, |(at, _)| &text[..at])
}

/// Whether nothing but blanks and a comment is left; otherwise what is there, for a message.
fn only_comment(rest: &str) -> Result<(), String> {
    let rest = rest.trim();
    if rest.is_empty() || rest.starts_with(['#', ';']) { Ok(()) } else { Err(shown(rest)) }
}

#[cfg(test)]
mod tests;
