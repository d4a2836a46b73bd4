//! The password file: lines of `user:hash`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::hash::{Hash, InvalidHash};

/// Users in a file.
const USERS_MAX: usize = 1_000_000;

/// Users and the hashes of their passwords.
#[derive(Clone, Debug, Default)]
pub struct PasswordFile {
    users: BTreeMap<Box<str>, Arc<Hash>>,
    /// For names that are not there.
    decoy: Option<Arc<Hash>>,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct PasswordFileError {
    file: String,
    line: usize,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("expected user:hash")]
    NoColon,
    #[error("the user has no name")]
    NoName,
    #[error("the user is there twice")]
    Twice,
    #[error("more than 1,000,000 users")]
    TooMany,
    #[error(transparent)]
    Hash(#[from] InvalidHash),
}

impl PasswordFile {
    /// Reads the text of a file; `file` is for errors. Empty lines and comments (`#`) are skipped.
    ///
    /// # Errors
    /// [`PasswordFileError`] for the first line that is not understood.
    pub fn parse(file: &str, text: &str) -> Result<Self, PasswordFileError> {
        let mut passwords = Self::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (at, line) in text.lines().enumerate() {
            let error =
                |problem| PasswordFileError { file: file.to_owned(), line: at + 1, problem };
            passwords.take(line.trim_end()).map_err(error)?;
        }
        passwords.decoy = passwords.users.values().next().map(|hash| Arc::new(hash.decoy()));
        Ok(passwords)
    }

    fn take(&mut self, line: &str) -> Result<(), Problem> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (name, hash) = line.split_once(':').ok_or(Problem::NoColon)?;
        if name.is_empty() {
            return Err(Problem::NoName);
        }
        if self.users.len() >= USERS_MAX {
            return Err(Problem::TooMany);
        }
        let hash = Arc::new(Hash::parse(hash)?);
        match self.users.insert(name.into(), hash) {
            Some(_) => Err(Problem::Twice),
            None => Ok(()),
        }
    }

    /// The hash to compare a password of this user with; for an unknown one a hash that none has.
    /// `None`: there are no users at all.
    pub(crate) fn hash(&self, user: &str) -> Option<Arc<Hash>> {
        self.users.get(user).or(self.decoy.as_ref()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by mosquitto_passwd: alice with -H sha512, bob with the default; both "secret word".
    const FILE: &str = include_str!("../tests/passwords");

    #[test]
    fn passwords_that_mosquitto_passwd_hashed_are_verified() {
        let passwords = PasswordFile::parse("p", FILE).unwrap();
        for user in ["alice", "bob"] {
            let hash = passwords.hash(user).unwrap();
            assert!(hash.verify(b"secret word"), "{user}");
            for wrong in ["secret", "secret word ", "", "Secret word"] {
                assert!(!hash.verify(wrong.as_bytes()), "{user} {wrong:?}");
            }
        }
    }

    #[test]
    fn unknown_user_has_a_hash_that_no_password_has() {
        let hash = PasswordFile::parse("p", FILE).unwrap().hash("eve").unwrap();
        assert!(!hash.verify(b"secret word"));
        assert!(PasswordFile::parse("p", "# nobody\n").unwrap().hash("eve").is_none());
    }

    #[test]
    fn error_names_file_and_line() {
        let error = |text: &str| PasswordFile::parse("p.txt", text).unwrap_err().to_string();
        assert_eq!(error("\nalice"), "p.txt:2: expected user:hash");
        assert_eq!(error(":x"), "p.txt:1: the user has no name");
        assert!(error("alice:secret").starts_with("p.txt:1: expected a hash"));
        assert!(error("alice:$7$0$YQ==$YQ==").contains("iterations"));
        assert!(error("alice:$7$10000001$YQ==$YQ==").contains("iterations"));
        assert!(error("alice:$6$YQ==$YQ==").contains("base64"));
        assert!(error("alice:$9$YQ==$YQ==").contains("expected a hash"));
        let line = FILE.lines().next().unwrap();
        assert_eq!(error(&format!("{line}\n{line}")), "p.txt:2: the user is there twice");
    }
}
