//! With which code a process ends.
//!
//! The convention of both programs; printing the reason to stderr is theirs. Service managers read
//! it: after [`Exit::Misconfigured`] a restart cannot help (`RestartPreventExitStatus=2`).

use std::process::ExitCode;

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Stopped because it was asked to: code 0.
    Stopped,
    /// Failed while it started or ran; a restart may help: code 1.
    Failed,
    /// The configuration or the arguments are wrong; a restart cannot help: code 2, which is also
    /// what clap uses for wrong arguments.
    Misconfigured,
}

impl Exit {
    /// The number that the operating system sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Failed => 1,
            Self::Misconfigured => 2,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
