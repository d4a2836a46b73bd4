//! What a measurement found: a list of figures, printed as text or as JSON.
//!
//! Text has a line for each figure: name, number, unit; scripts take it apart at the blanks. JSON is one
//! line with all of them, and numbers in it are not rounded.

use std::time::Duration;

use serde::Serialize;

use crate::run::float;

/// How figures are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// One thing that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<u32>,
    value: Value,
    /// Empty: it is a number of things.
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'static str,
    /// What the name does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    #[serde(skip)]
    decimals: usize,
    #[serde(skip)]
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Value {
    Count(u64),
    /// `None`: it never happened.
    Measure(Option<f64>),
}

/// Where text names the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Front,
    Behind,
}

impl Figure {
    /// A number of things.
    pub(crate) fn count(name: &'static str, count: u64) -> Self {
        Self::with(name, Value::Count(count), 0, "")
    }

    /// A number with a unit, which text shows with so many decimals.
    pub(crate) fn measure(
        name: &'static str,
        value: f64,
        decimals: usize,
        unit: &'static str,
    ) -> Self {
        Self::with(name, Value::Measure(Some(value)), decimals, unit)
    }

    /// A time; `None`: never.
    pub(crate) fn millis(name: &'static str, time: Option<Duration>, decimals: usize) -> Self {
        let value = time.map(|time| time.as_secs_f64() * 1_000.0);
        Self::with(name, Value::Measure(value), decimals, "ms")
    }

    /// Memory.
    pub(crate) fn mebibytes(name: &'static str, bytes: f64) -> Self {
        Self::measure(name, bytes / float(1 << 20), 1, "MiB")
    }

    fn with(name: &'static str, value: Value, decimals: usize, unit: &'static str) -> Self {
        Self { name, process: None, value, unit, note: None, decimals, place: Place::Front }
    }

    /// Of this process.
    pub(crate) fn of(self, process: u32) -> Self {
        Self { process: Some(process), ..self }
    }

    /// Of this process, which text names last.
    pub(crate) fn of_last(self, process: u32) -> Self {
        Self { place: Place::Behind, ..self.of(process) }
    }

    pub(crate) fn noted(self, note: &'static str) -> Self {
        Self { note: Some(note), ..self }
    }

    fn line(&self) -> String {
        let (front, behind) = match (self.process, self.place) {
            (Some(process), Place::Front) => (format!("{} {process}", self.name), String::new()),
            (Some(process), Place::Behind) => (self.name.into(), format!(", process {process}")),
            (None, _) => (self.name.into(), String::new()),
        };
        let number = match self.value {
            Value::Count(count) => count.to_string(),
            Value::Measure(Some(value)) => format!("{value:.*}", self.decimals),
            Value::Measure(None) => "never".into(),
        };
        let note = self.note.map(|note| format!(" ({note})")).unwrap_or_default();
        let line = format!("{front:<12}{number:>12} {}{behind}{note}", self.unit);
        line.trim_end().into()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    figures: &'a [Figure],
}

/// Without the last line end.
pub(crate) fn text(figures: &[Figure], format: Format) -> String {
    match format {
        Format::Text => figures.iter().map(Figure::line).collect::<Vec<_>>().join("\n"),
        Format::Json => {
            serde_json::to_string(&Document { figures }).expect("no map, so no key that is no text")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Vec<Figure> {
        vec![
            Figure::measure("delivered", 123.4, 0, "msg/s"),
            Figure::millis("p50", Some(Duration::from_micros(1_250)), 2),
            Figure::count("lost", 7),
            Figure::measure("cpu", 0.456, 2, "s per million").of(1234),
            Figure::mebibytes("memory", 12.25 * 1_048_576.0).of(1_234_567),
            Figure::millis("first", None, 1).noted("median"),
            Figure::measure("memory", 812.0, 0, "B per session").of_last(99),
        ]
    }

    #[test]
    fn text_is_a_line_for_each_figure_with_its_number_in_a_column() {
        let expected = "\
delivered            123 msg/s
p50                 1.25 ms
lost                   7
cpu 1234            0.46 s per million
memory 1234567        12.2 MiB
first              never ms (median)
memory               812 B per session, process 99";
        assert_eq!(text(&figures(), Format::Text), expected);
    }

    #[test]
    fn json_is_one_line_with_null_for_never_and_nothing_for_what_is_not_there() {
        let expected = concat!(
            r#"{"figures":[{"name":"delivered","value":123.4,"unit":"msg/s"},"#,
            r#"{"name":"p50","value":1.25,"unit":"ms"},"#,
            r#"{"name":"lost","value":7},"#,
            r#"{"name":"cpu","process":1234,"value":0.456,"unit":"s per million"},"#,
            r#"{"name":"memory","process":1234567,"value":12.25,"unit":"MiB"},"#,
            r#"{"name":"first","value":null,"unit":"ms","note":"median"},"#,
            r#"{"name":"memory","process":99,"value":812.0,"unit":"B per session"}]}"#
        );
        assert_eq!(text(&figures(), Format::Json), expected);
    }

    #[test]
    fn number_that_is_none_is_null_and_does_not_break_the_line() {
        let figures = [Figure::measure("resumed", f64::INFINITY, 0, "msg/s")];
        assert!(text(&figures, Format::Json).contains(r#""value":null"#));
    }
}
