//! The number of this run: higher than that of every earlier run in the same data directory.
//!
//! Close to Unix time in milliseconds, so that it is also higher after the directory was lost; kept
//! in a file, so that it is also higher after the clock was set back.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ha_types::ServerIncarnation;

/// Above what a clock says in this century, and far below what does not fit into a version.
const RUN_MAX: u64 = 1 << 41;

/// Takes the next number and notes it in `data_dir`, which is made if it is missing.
///
/// # Errors
/// The disk refused, or the file holds something else.
pub fn next(data_dir: &Path) -> io::Result<ServerIncarnation> {
    fs::create_dir_all(data_dir)?;
    let path = data_dir.join("incarnation");
    let last = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().ok().filter(|&last| last < RUN_MAX).ok_or_else(|| {
            let message = format!("{} is damaged; remove it", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let next = unix_time_ms().max(last + 1);
    let draft = data_dir.join("incarnation.new");
    let mut file = fs::File::create(&draft)?;
    writeln!(file, "{next}")?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    Ok(ServerIncarnation(next))
}

/// Wall time; zero when the clock says it is before 1970.
#[must_use]
pub fn unix_time_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).expect("fits for 500 million years")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_a_higher_number_also_when_the_clock_was_set_back() {
        let dir =
            std::env::temp_dir().join(format!("ha-member-incarnation-{}", std::process::id()));
        let first = next(&dir).unwrap();
        let future = unix_time_ms() + 1_000_000;
        fs::write(dir.join("incarnation"), format!("{future}\n")).unwrap();
        assert_eq!(next(&dir).unwrap(), ServerIncarnation(future + 1));
        assert!(first < ServerIncarnation(future));
        for damage in ["garbage", "", "18446744073709551615", "4398046511104"] {
            fs::write(dir.join("incarnation"), damage).unwrap();
            assert_eq!(next(&dir).unwrap_err().kind(), io::ErrorKind::InvalidData, "{damage}");
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
