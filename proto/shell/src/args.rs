//! The command-line arguments that both programs take.
//!
//! Only reads them. What `--config` defaults to and what `--set` means is decided by the program
//! and by [`crate::layers`].

use std::path::PathBuf;

use crate::logging::LogFormat;

/// Flatten it into the program's own arguments: `#[command(flatten)] common: CommonArgs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct CommonArgs {
    /// Read the configuration from FILE
    ///
    /// A name that ends in .json is read as JSON, any other as INI. Without this argument the
    /// program looks for its usual file.
    #[arg(long, short = 'c', value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Set one configuration key; may be repeated
    ///
    /// Stronger than the environment (MQTT_HA_SECTION__KEY=VALUE), which is stronger than the file.
    /// Of two for the same key the last one counts.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,

    /// Write the log as text for people or as one JSON object per line; it goes to stderr
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Log this much: error, warn, info, debug, trace or off
    ///
    /// Parts of the program can have their own level: info,h2=warn
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    pub log_level: String,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        common: CommonArgs,
    }

    fn parsed(arguments: &[&str]) -> CommonArgs {
        Program::try_parse_from([&["program"], arguments].concat()).unwrap().common
    }

    #[test]
    fn the_declaration_is_consistent() {
        Program::command().debug_assert();
    }

    #[test]
    fn without_arguments_the_log_is_text_at_info() {
        let args = parsed(&[]);
        assert_eq!((args.config, args.set), (None, Vec::new()));
        assert_eq!((args.log_format, args.log_level.as_str()), (LogFormat::Text, "info"));
    }

    #[test]
    fn set_may_be_repeated_and_keeps_its_order() {
        let args = parsed(&["--set", "A.B=1", "--set=A.B=2"]);
        assert_eq!(args.set, ["A.B=1", "A.B=2"]);
    }

    #[test]
    fn every_argument_is_read() {
        let args = parsed(&["-c", "x.conf", "--log-format", "json", "--log-level", "debug"]);
        assert_eq!(args.config, Some(PathBuf::from("x.conf")));
        assert_eq!((args.log_format, args.log_level.as_str()), (LogFormat::Json, "debug"));
    }
}
