//! Dynos: one running container of a process type, as the API shows it.

use super::ids::{AppId, ReleaseId};
use super::names::{DynoName, ProcessType, SizeName};
use super::time::Timestamp;

/// What the reconciler last saw of a dyno.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dyno {
    pub name: DynoName,
    pub app_id: AppId,
    pub process_type: ProcessType,
    pub release_id: ReleaseId,
    pub size: SizeName,
    /// As shown: the user's command, or `""` for the image's own.
    pub command: String,
    pub state: DynoState,
    /// Whether it receives requests (web), or runs (any other type).
    pub ready: bool,
    /// How often it was started again after it ended by itself.
    pub restarts: u32,
    /// Why it is in this state, for people; may be empty.
    pub info: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

crate::text_enum! {
    /// The documented states (API reference, Dynos).
    pub enum DynoState {
        StartFailure => "start-failure",
        AppCrashed => "app-crashed",
        Waiting => "waiting",
        Pending => "pending",
        ProbeFailure => "probe-failure",
        Stopping => "stopping",
        Stopped => "stopped",
        Running => "running",
    }
}

crate::text_enum! {
    /// Why a dyno ended or never came up (`behaviour.md` §30).
    pub enum CrashCode {
        Unknown => "H0",
        PrematureExit => "H8",
        DidNotStart => "H9",
        Crashed => "H10",
        BootTimeout => "H20",
        PlatformError => "H99",
        MemoryQuotaExceeded => "R14",
    }
}

impl CrashCode {
    /// The text beside the code.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown error",
            Self::PrematureExit => "Premature exit",
            Self::DidNotStart => "App did not startup",
            Self::Crashed => "App crashed",
            Self::BootTimeout => "App boot timeout",
            Self::PlatformError => "Platform error",
            Self::MemoryQuotaExceeded => "Memory quota exceeded",
        }
    }

    /// The code of a container whose process could not be started: the engine gives it the exit code of a shell
    /// that does not find a program when the command is to blame.
    pub const fn of_failed_start(exit_code: i64) -> Self {
        match exit_code {
            126 | 127 => Self::DidNotStart,
            _ => Self::PlatformError,
        }
    }

    /// The code of a container that ended by itself (`behaviour.md` §30, first match).
    pub const fn of_exit(exit_code: i64, out_of_memory: bool) -> Self {
        match exit_code {
            _ if out_of_memory => Self::MemoryQuotaExceeded,
            0 => Self::PrematureExit,
            126 | 127 => Self::DidNotStart,
            15 | 130 | 137 | 143 => Self::Unknown,
            _ => Self::Crashed,
        }
    }
}
