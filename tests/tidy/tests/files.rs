//! What every file of the repository has in common.

use std::path::{Path, PathBuf};

use tidy::{files, read, repository};

/// Longer files ask for a reason; there is none so far.
const LINES_MAX: usize = 400;

fn with_ending(endings: &[&str]) -> Vec<PathBuf> {
    let has_ending = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| endings.contains(&ending))
    };
    files().into_iter().filter(has_ending).collect()
}

fn text_files() -> Vec<PathBuf> {
    with_ending(&["rs", "toml", "md", "sh", "conf", "cfg", "proto", "yml", "json", "txt"])
}

/// A path of one machine means nothing on another one.
#[test]
fn no_file_names_a_folder_of_a_machine() {
    let folders = ["/ro", "/ho", "/wo", "/Us"].iter().zip(["ot/", "me/", "rk/", "ers/"]);
    let folders: Vec<_> = folders.map(|(first, rest)| format!("{first}{rest}")).collect();
    for path in text_files() {
        let text = read(&path);
        let found = folders.iter().find(|folder| text.contains(folder.as_str()));
        assert_eq!(found, None, "{}", path.display());
    }
}

#[test]
fn text_ends_with_one_line_end_and_has_no_trailing_blanks_or_carriage_returns() {
    for path in text_files() {
        let (text, path) = (read(&path), path.display());
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{path}: the end");
        assert!(!text.contains('\r'), "{path}: a carriage return");
        let trailing = text.lines().position(|line| line.ends_with([' ', '\t']));
        assert_eq!(trailing.map(|line| line + 1), None, "{path}: trailing blanks");
    }
}

/// cmd.exe loses labels in files without them.
#[test]
fn batch_files_have_carriage_returns() {
    for path in with_ending(&["bat"]) {
        let text = read(&path);
        assert!(text.lines().count() == text.matches("\r\n").count(), "{}", path.display());
    }
}

#[test]
fn rust_files_are_no_longer_than_400_lines() {
    for path in with_ending(&["rs"]) {
        let lines = read(&path).lines().count();
        assert!(lines <= LINES_MAX, "{}: {lines} lines", path.display());
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for path in with_ending(&["rs"]) {
        let is_test = path.ends_with("tests.rs") || path.iter().any(|part| part == "tests");
        let text = read(&path);
        assert!(is_test || text.starts_with("//!"), "{}: no //! at the top", path.display());
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for path in with_ending(&["md"]) {
        let folder = repository().join(path.parent().unwrap_or(Path::new("")));
        let text = read(&path);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        for (target, _) in targets {
            let (file, _) = target.split_once('#').unwrap_or((target, ""));
            let leads = file.is_empty() || file.contains("://") || folder.join(file).exists();
            assert!(leads, "{}: {target}", path.display());
        }
    }
}
