//! Where the log goes: to stderr, as text for people or as JSON for machines.
//!
//! Decides format, colours and the syntax of levels. Does not rotate or ship: the service manager
//! or the container does. Called once per process, by `main`.

use std::{
    env,
    io::{self, IsTerminal},
    str::FromStr,
};

use tracing::{Subscriber, level_filters::LevelFilter, subscriber};
use tracing_subscriber::{EnvFilter, fmt, fmt::MakeWriter};

/// Shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; with colours on a terminal unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is not one.
    #[error(
        "log level {0}: expected error, warn, info, debug, trace or off, or a list such as \
         info,h2=warn"
    )]
    Level(String),
    /// Something in this process has set up a log before.
    #[error("the log is already set up")]
    AlreadySetUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colours {
    On,
    Off,
}

/// Sends the events of the whole process to stderr.
pub fn init(format: LogFormat, level: &str) -> Result<(), LogError> {
    let subscriber = subscriber_to(io::stderr, format, colours(), filter(level)?);
    subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadySetUp)
}

/// [no-color.org]: set and not empty means no colours.
///
/// [no-color.org]: https://no-color.org
fn colours() -> Colours {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stderr().is_terminal() && !refused { Colours::On } else { Colours::Off }
}

/// Lists that select by span may contain commas elsewhere and are left to `EnvFilter`.
fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let wrong = || LogError::Level(level.to_owned());
    let directives: Vec<&str> = level.split(',').map(str::trim).collect();
    if !level.contains(['[', '{']) && !directives.iter().copied().all(is_directive) {
        return Err(wrong());
    }
    EnvFilter::try_new(directives.join(",")).map_err(|_| wrong())
}

/// `EnvFilter` alone reads a mistyped level (`inof`) as the name of a module, and the log stays
/// empty; an empty one it reads as `error`.
fn is_directive(directive: &str) -> bool {
    let level = directive.rsplit('=').next().unwrap_or_default();
    !level.is_empty() && LevelFilter::from_str(level).is_ok()
}

fn subscriber_to<W>(
    writer: W,
    format: LogFormat,
    colours: Colours,
    filter: EnvFilter,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => Box::new(lines.with_ansi(colours == Colours::On).finish()),
        LogFormat::Json => {
            Box::new(lines.json().flatten_event(true).with_span_list(false).finish())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, colours: Colours, level: &str) -> String {
        let page = Page::default();
        let writer = page.clone();
        let make = move || writer.clone();
        let subscriber = subscriber_to(make, format, colours, filter(level).unwrap());
        subscriber::with_default(subscriber, || {
            tracing::info!(broker = 7, "attached");
            tracing::debug!("detail");
        });
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_is_one_object_per_line() {
        let page = logged(LogFormat::Json, Colours::Off, "debug");
        let lines: Vec<serde_json::Value> =
            page.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["message"], &lines[0]["broker"]), (&"attached".into(), &7.into()));
    }

    #[test]
    fn text_has_colours_only_when_asked() {
        assert!(logged(LogFormat::Text, Colours::On, "info").contains('\u{1b}'));
        assert!(!logged(LogFormat::Text, Colours::Off, "info").contains('\u{1b}'));
    }

    #[test]
    fn the_level_decides_what_is_logged() {
        assert_eq!(logged(LogFormat::Text, Colours::Off, "info").lines().count(), 1);
        assert_eq!(logged(LogFormat::Text, Colours::Off, "debug").lines().count(), 2);
        assert_eq!(logged(LogFormat::Text, Colours::Off, "debug,ha_shell=off"), "");
    }

    #[test]
    fn a_level_that_is_none_is_an_error() {
        for level in ["inof", "info,h2", "info,h2=loud", "", " ", "info,", "h2="] {
            let told = filter(level).unwrap_err().to_string();
            assert!(told.starts_with(&format!("log level {level}: expected error, ")), "{told}");
        }
    }

    #[test]
    fn a_list_of_levels_is_accepted() {
        for level in ["info", "OFF", "debug,h2=warn", "info, h2=warn", "warn,[session{id=7}]=debug"]
        {
            assert!(filter(level).is_ok(), "{level}");
        }
    }
}
