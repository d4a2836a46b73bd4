//! Rules of the INI syntax, one sentence each.

use proptest::prelude::*;

use super::*;

/// `(section, key, value, line)` of every entry.
fn entries(bytes: impl AsRef<[u8]>) -> Vec<(String, String, String, usize)> {
    let document = parse("x.conf", bytes.as_ref()).unwrap();
    let flat = document.blocks.into_iter().flat_map(|block| {
        let section = block.section;
        block.entries.into_iter().map(move |e| (section.clone(), e.key, e.value, e.line))
    });
    flat.collect()
}

fn value(line: &str) -> String {
    entries(format!("[A]\n{line}")).remove(0).2
}

fn error(bytes: impl AsRef<[u8]>) -> String {
    parse("conf/x.conf", bytes.as_ref()).unwrap_err().to_string()
}

fn entry(section: &str, key: &str, value: &str, line: usize) -> (String, String, String, usize) {
    (section.to_owned(), key.to_owned(), value.to_owned(), line)
}

#[test]
fn every_entry_has_its_section_and_line() {
    let found = entries("\n[A]\nk = 1\n# no\n\n[B]\nk=2\n[A]\nj = 3\n");
    assert_eq!(found, [entry("A", "k", "1", 3), entry("B", "k", "2", 7), entry("A", "j", "3", 9)]);
}

#[test]
fn what_editors_of_other_systems_leave_behind_is_fine() {
    let found = entries(b"\xef\xbb\xbf[A] \t\r\n\t k \t=  v w \t\r\r\n  ; no = comment\r\nj=");
    assert_eq!(found, [entry("A", "k", "v w", 2), entry("A", "j", "", 4)]);
}

#[test]
fn an_empty_file_has_no_sections() {
    assert_eq!(parse("x.conf", b"").unwrap().blocks, []);
}

#[test]
fn a_section_without_keys_is_remembered() {
    let blocks = parse("x.conf", b"\n[ A B ] # why\n").unwrap().blocks;
    assert_eq!(blocks, [Block { section: "A B".to_owned(), line: 2, entries: Vec::new() }]);
}

#[test]
fn a_comment_needs_a_blank_before_it() {
    assert_eq!(value("k = a # b"), "a");
    assert_eq!(value("k = a\t; b"), "a");
    assert_eq!(value("k = a#b;c"), "a#b;c");
    assert_eq!(value("k = # only a comment"), "");
    assert_eq!(value("k =#x"), "#x");
}

#[test]
fn quotes_keep_blanks_and_comment_signs() {
    assert_eq!(value("k = \" a # b \" ; why"), " a # b ");
    assert_eq!(value("k = \"C:\\x\\\""), "C:\\x\\");
    assert_eq!(value("k = \"\""), "");
    assert_eq!(value("k = a \"b\""), "a \"b\"");
}

#[test]
fn a_value_may_contain_equal_signs() {
    assert_eq!(value("k = a=b = c"), "a=b = c");
}

#[test]
fn wrong_quotes_are_errors() {
    assert_eq!(error("[A]\nk = \"a"), "conf/x.conf:2: the closing \" is missing");
    assert_eq!(error("[A]\nk = \"a\" b"), "conf/x.conf:2: unexpected b after the closing \"");
}

#[test]
fn bytes_that_are_not_text_are_named() {
    let told =
        |byte, line| format!("conf/x.conf:{line}: not text: byte {byte}; save the file as UTF-8");
    assert_eq!(error(b"[A]\n\nk = \0\n\xff"), told("0x00", 3));
    assert_eq!(error(b"\xff\xfe[\0A\0]\0"), told("0xff", 1));
    assert_eq!(error(b"[A]\nk = \xc3"), told("0xc3", 2));
    assert_eq!(error(b"[A]\nk = \x1b[0m"), told("0x1b", 2));
    assert_eq!(error(b"[A]\rk = 1"), told("0x0d", 1));
}

#[test]
fn a_line_that_is_neither_section_nor_key_is_an_error() {
    let told = "conf/x.conf:2: expected KEY = VALUE or [SECTION], found k 1";
    assert_eq!(error("[A]\nk 1\n"), told);
}

#[test]
fn a_key_before_any_section_is_an_error_told_once() {
    assert_eq!(error("k = 1\nj = 2\nk = 3"), "conf/x.conf:1: k stands before any [SECTION]");
}

#[test]
fn a_wrong_section_header_is_an_error() {
    assert_eq!(error("[A # why\nk = 1"), "conf/x.conf:1: [A has no closing ]");
    assert_eq!(error("[ ]"), "conf/x.conf:1: a section needs a name");
    assert_eq!(error("[A] k = 1"), "conf/x.conf:1: unexpected k = 1 after [A]");
}

#[test]
fn an_empty_key_is_an_error() {
    assert_eq!(error("[A]\n = 1"), "conf/x.conf:2: a key is missing before =");
}

#[test]
fn a_key_twice_in_a_section_is_an_error_that_names_the_first() {
    assert_eq!(
        error("[A]\nk = 1\n[B]\nk = 1\n[a]\nK = 2"),
        "conf/x.conf:6: K is already set on line 2"
    );
}

#[test]
fn every_wrong_line_is_told() {
    assert_eq!(error("[A]\nx\n=\n").lines().count(), 2);
}

#[test]
fn a_line_of_4096_bytes_is_read_and_of_4097_is_not() {
    let longest = format!("k={}", "v".repeat(LINE_BYTES_MAX - 2));
    assert_eq!(value(&format!("{longest}\r\n")).len(), LINE_BYTES_MAX - 2);
    assert_eq!(
        error(format!("[A]\n{longest}v")),
        "conf/x.conf:2: the line is longer than 4096 bytes"
    );
}

#[test]
fn a_file_of_one_mebibyte_is_read_and_a_larger_one_is_not() {
    let mut file = vec![b'\n'; FILE_BYTES_MAX];
    assert_eq!(entries(&file), []);
    file.push(b'\n');
    assert_eq!(error(&file), "conf/x.conf:1: the file is larger than 1048576 bytes");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse("x", &bytes);
    }

    #[test]
    fn no_text_of_the_syntax_panics(text in "([\\[\\]=#;\" \t\r\nké\u{feff}]){0,60}") {
        let _ = parse("x", text.as_bytes());
    }

    #[test]
    fn a_written_file_parses_back(
        keys in proptest::collection::btree_map("[a-z][a-z0-9_.-]{0,8}", "[^\"\\p{C}]{0,20}", 0..10),
        end in prop_oneof![Just("\n"), Just("\r\n"), Just(" \n\n# k = v\n")],
    ) {
        let lines = keys.iter().map(|(key, value)| format!("{key} = \"{value}\"{end}"));
        let found = entries(format!("[S]{end}{}", lines.collect::<String>()));
        let found: Vec<_> = found.into_iter().map(|(_, key, value, _)| (key, value)).collect();
        prop_assert_eq!(found, keys.into_iter().collect::<Vec<_>>());
    }
}
