//! What `ha-bench` said, in numbers.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::site::named;

/// What `timeout` ends with then.
const TIMED_OUT: i32 = 124;

/// By name; of several processes the sum, and each as `NAME.PLACE` in the order in which they were named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Figures(pub(crate) BTreeMap<String, Option<f64>>);

#[derive(Deserialize)]
struct Report {
    figures: Vec<Figure>,
}

#[derive(Deserialize)]
struct Figure {
    name: String,
    #[serde(default)]
    process: Option<u32>,
    /// `None`: it never came.
    value: Option<f64>,
}

impl Figures {
    /// `None`: it was not measured. Infinite: it never happened.
    pub(crate) fn of(&self, name: &str) -> Option<f64> {
        self.0.get(name).map(|value| value.unwrap_or(f64::INFINITY))
    }

    /// From what `ha-bench --json` prints.
    pub(crate) fn read(json: &str) -> io::Result<Self> {
        let report: Report = serde_json::from_str(json)?;
        let (mut figures, mut places) = (BTreeMap::new(), BTreeMap::new());
        for Figure { name, process, value } in report.figures {
            if process.is_some() {
                let place = places.entry(name.clone()).or_insert(0_u32);
                figures.insert(format!("{name}.{place}"), value);
                *place += 1;
            }
            let sum = figures.entry(name).or_insert(Some(0.0));
            *sum = sum.zip(value).map(|(sum, value)| sum + value);
        }
        Ok(Self(figures))
    }
}

/// Runs it. A peer that accepts and does not answer would hold it up for ever.
pub(crate) fn bench(
    program: &Path,
    arguments: &[String],
    at_most: Duration,
) -> io::Result<Figures> {
    // It must not go on without this program: it kills by process id. "timeout" hands the signal on.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--", "timeout"]).arg(at_most.as_secs().to_string());
    command.arg(program).arg("--json").args(arguments).stdin(Stdio::null());
    let output = command.output().map_err(|error| named("setpriv", error))?;
    match output.status.code() {
        Some(0) => (),
        Some(TIMED_OUT) => {
            let why = format!("ha-bench did not end within {} s", at_most.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        _ => {
            let error = String::from_utf8_lossy(&output.stderr);
            let last = error.lines().last().map(str::trim).filter(|line| !line.is_empty());
            let status = format!("ha-bench ended with {}", output.status);
            return Err(io::Error::other(last.map_or(status, str::to_owned)));
        }
    }
    Figures::read(&String::from_utf8_lossy(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_added_up_and_what_never_came_is_without_end() {
        let json = r#"{"figures":[
            {"name":"delivered","value":1000.5,"unit":"msg/s"},
            {"name":"cpu","process":7,"value":0.5,"unit":"s per million"},
            {"name":"cpu","process":8,"value":0.25,"unit":"s per million"},
            {"name":"first","value":null,"unit":"ms"}]}"#;
        let figures = Figures::read(json).unwrap();
        assert_eq!(figures.of("delivered"), Some(1000.5));
        assert_eq!(figures.of("cpu"), Some(0.75));
        assert_eq!((figures.of("cpu.0"), figures.of("cpu.1")), (Some(0.5), Some(0.25)));
        assert_eq!(figures.of("first"), Some(f64::INFINITY));
        assert_eq!(figures.of("delivered.0"), None);
        let again = serde_json::to_string(&figures).unwrap();
        assert_eq!(serde_json::from_str::<Figures>(&again).unwrap(), figures);
        assert!(Figures::read("no").is_err());
    }
}
