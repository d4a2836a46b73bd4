//! Judges a recorded history: `history-check FILE`. Exit code 0 when it is clean, 1 when not, 2 when
//! it cannot be read.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::process::ExitCode;

use history::{History, Verdict};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(path), None) = (arguments.next(), arguments.next()) else {
        return explain("usage: history-check FILE");
    };
    match File::open(&path).map_err(Into::into).and_then(judge) {
        Ok(verdict) => tell(&verdict),
        Err(error) => explain(&format!("{}: {}", path.display(), chain(&*error))),
    }
}

fn judge(file: File) -> Result<Verdict, Box<dyn Error>> {
    Ok(History::read_lines(BufReader::new(file))?.check())
}

fn tell(verdict: &Verdict) -> ExitCode {
    match writeln!(io::stdout(), "{verdict}") {
        Ok(()) if verdict.is_clean() => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    }
}

fn explain(what: &str) -> ExitCode {
    // Nobody is left to tell that standard error is gone.
    let _ = writeln!(io::stderr(), "{what}");
    ExitCode::from(2)
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
