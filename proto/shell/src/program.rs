//! What every program of the project does with its command line: read the configuration, check it,
//! run, and say why it ended.
//!
//! Errors go to stderr as plain text, also when the log is JSON: it may not be set up yet.

use std::error::Error;
use std::future::Future;
use std::io::{self, Write};
use std::path::Path;

use crate::args::CommonArgs;
use crate::exit::Exit;
use crate::layers::{ConfigFile, Settings, Sources, load};
use crate::problem::ConfigError;
use crate::schema::Section;
use crate::{logging, signals};

/// A program and its configuration file.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// As it is called.
    pub name: &'static str,
    /// What its configuration may contain.
    pub schema: &'static [Section],
    /// Read when it exists and no other file is named.
    pub default_config: &'static str,
    /// Libraries whose logs nobody needs unless `--log-level` names them, and what of them is needed: `off`,
    /// `warn`.
    pub quiet: &'static [(&'static str, &'static str)],
}

impl Program {
    /// Reads the configuration, then runs until the operating system asks it to stop.
    ///
    /// `configure` turns the settings into what `run` needs, `workers` says how many threads shall run its
    /// tasks (none: one); `run` gets a future that resolves to the name of the signal.
    pub fn serve<C, R, E>(
        &self,
        common: &CommonArgs,
        configure: impl FnOnce(&Settings) -> Result<C, ConfigError>,
        workers: impl FnOnce(&C) -> usize,
        run: impl FnOnce(C, Box<dyn Future<Output = &'static str> + Send + Unpin>) -> R,
    ) -> Exit
    where
        R: Future<Output = Result<(), E>>,
        E: Error + Send + Sync + 'static,
    {
        if let Err(error) = logging::init(common.log_format, &self.log_level(common)) {
            return self.misconfigured(&error);
        }
        let configured = self.settings(common).and_then(|settings| {
            let config = configure(&settings)?;
            settings.notes().iter().for_each(|note| tracing::warn!("{note}"));
            settings.effective().for_each(|setting| tracing::debug!("{setting}"));
            Ok(config)
        });
        match configured {
            Err(error) => self.misconfigured(&error),
            Ok(config) => self.run(workers(&config), async {
                let shutdown = signals::shutdown_signal().map_err(Box::new)?;
                run(config, Box::new(Box::pin(shutdown))).await?;
                Ok(())
            }),
        }
    }

    /// Checks a configuration file and prints the settings that follow from it.
    pub fn check_config<C>(
        &self,
        file: &Path,
        common: &CommonArgs,
        configure: impl FnOnce(&Settings) -> Result<C, ConfigError>,
    ) -> Exit {
        let checked = ConfigFile::read(file)
            .and_then(|file| self.load(Some(file), common))
            .and_then(|settings| configure(&settings).map(|_| settings));
        match checked {
            Err(error) => self.misconfigured(&error),
            Ok(settings) => {
                settings.notes().iter().for_each(|note| print(note));
                settings.effective().for_each(|setting| print(&setting.to_string()));
                Exit::Stopped
            }
        }
    }

    /// Runs one future to its end: a command, which has little to do.
    pub fn block_on(
        &self,
        future: impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>>,
    ) -> Exit {
        self.run(1, future)
    }

    fn run(
        &self,
        workers: usize,
        future: impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>>,
    ) -> Exit {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(workers.max(1))
            .on_thread_park(ha_heap::trim_parked_thread)
            .enable_all();
        let runtime = builder.build();
        let ended = runtime.map_err(Into::into).and_then(|runtime| {
            let ended = runtime.block_on(future);
            // Threads that do not notice the end must not keep the process.
            runtime.shutdown_background();
            ended
        });
        match ended {
            Ok(()) => Exit::Stopped,
            Err(error) => self.failed(&*error),
        }
    }

    fn log_level(&self, common: &CommonArgs) -> String {
        let unnamed = self.quiet.iter().filter(|(library, _)| !common.log_level.contains(library));
        let directives = unnamed.map(|(library, level)| format!(",{library}={level}"));
        common.log_level.clone() + &directives.collect::<String>()
    }

    fn settings(&self, common: &CommonArgs) -> Result<Settings, ConfigError> {
        let file = match &common.config {
            Some(path) => Some(ConfigFile::read(path)?),
            None => ConfigFile::read_if_present(Path::new(self.default_config))?,
        };
        self.load(file, common)
    }

    fn load(&self, file: Option<ConfigFile>, common: &CommonArgs) -> Result<Settings, ConfigError> {
        let environment = std::env::vars_os();
        load(self.schema, Sources { file, environment, set: common.set.clone() })
    }

    fn misconfigured(&self, error: &dyn Error) -> Exit {
        complain(&error.to_string());
        Exit::Misconfigured
    }

    /// Prints the error and its causes in one line.
    fn failed(&self, error: &dyn Error) -> Exit {
        let mut text = format!("{}: {error}", self.name);
        let mut cause = error.source();
        while let Some(error) = cause {
            let more = error.to_string();
            if !text.ends_with(&more) {
                text = format!("{text}: {more}");
            }
            cause = error.source();
        }
        complain(&text);
        Exit::Failed
    }
}

/// Prints one line of a command's answer. Whoever reads it may stop before its end, as `head` does.
pub fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn complain(line: &str) {
    // There is nowhere else to say it; the exit code does.
    let _ = writeln!(io::stderr(), "{line}");
}
