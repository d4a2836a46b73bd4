//! Writes `docs/conformance.md` anew.

use std::{fs, io};

use tidy::conformance::{PAGE, page};
use tidy::repository;

fn main() -> io::Result<()> {
    fs::write(repository().join(PAGE), page())
}
