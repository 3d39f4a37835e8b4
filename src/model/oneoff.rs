//! One-off dynos: each runs one command once, beside the dynos of the formations, and is never in rotation.

use std::time::Duration;

use super::command::Command;
use super::config_var::ConfigVars;
use super::ids::{AppId, FormationId, ReleaseId};
use super::names::{DynoName, ProcessType, SizeName, UserName};
use super::rule::RuleError;
use super::time::Timestamp;

/// One-off dynos of an app that have not ended, at most: as many as a formation may have dynos.
pub const RUNNING_LIMIT: usize = 32;
/// How long one may run that names no limit, and at most.
pub const LONGEST_RUN: Duration = Duration::from_hours(24);
/// How long the command of a release may run.
pub const LONGEST_RELEASE: Duration = Duration::from_hours(1);
/// How long an ended one can be looked at.
pub const KEPT: Duration = Duration::from_hours(24);
/// The container of an ended one stays so long, for its output to be taken into the log.
pub const LINGERS: Duration = Duration::from_secs(20);
/// How long an attached one waits for its terminal.
pub const ATTACH_WITHIN: Duration = Duration::from_mins(1);
/// The type of those that were started with a command of their own.
pub const COMMAND_TYPE: &str = "run";
/// The type of a release's command, and its name in the Procfile.
pub const RELEASE_TYPE: &str = "release";

/// A one-off dyno.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOff {
    pub name: DynoName,
    pub app_id: AppId,
    pub purpose: Purpose,
    pub process_type: ProcessType,
    /// Whose image it runs.
    pub release_id: ReleaseId,
    pub size: SizeName,
    /// `None` runs the image's own.
    pub command: Option<Command>,
    /// Set over the app's config vars.
    pub env: ConfigVars,
    /// A reference that is pulled and run instead of the release's image.
    pub image: Option<String>,
    pub terminal: Terminal,
    pub time_limit: Duration,
    /// When its terminal came, for one that waits for it.
    pub attached_at: Option<Timestamp>,
    /// Who wants it to end.
    pub stopped_by: Option<UserName>,
    pub started_at: Option<Timestamp>,
    pub ended: Option<Ended>,
    pub created_by: UserName,
    pub created_at: Timestamp,
}

/// Why there is a one-off dyno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A user gave a command.
    Command,
    /// A user asked for a run of a formation.
    Formation(FormationId),
    /// A formation's schedule was due.
    Schedule(FormationId),
    /// The release that it belongs to has a command.
    Release,
}

crate::text_enum! {
    /// Where the input comes from and the output goes.
    pub enum Terminal {
        /// No input; the output goes to the app's log.
        Detached => "detached",
        /// Input and both outputs go to who attaches.
        Pipes => "pipes",
        /// The same through a terminal, which has one output.
        Tty => "tty",
    }
}

/// How a one-off dyno ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Ended {
    pub at: Timestamp,
    /// `None` when its process never ran, or nobody knows.
    pub exit_code: Option<i64>,
    /// What a person should know beyond the code; `""` for nothing.
    pub reason: String,
}

impl OneOff {
    /// Whether it ended with the code 0 by itself.
    pub fn succeeded(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.exit_code == Some(0) && ended.reason.is_empty())
    }

    /// The formation that it is a run of.
    pub fn formation(&self) -> Option<FormationId> {
        match self.purpose {
            Purpose::Formation(id) | Purpose::Schedule(id) => Some(id),
            Purpose::Command | Purpose::Release => None,
        }
    }
}

impl Ended {
    /// For people: "exited with status 3".
    pub fn text(&self) -> String {
        match (self.exit_code, self.reason.as_str()) {
            (Some(code), "") => format!("exited with status {code}"),
            (Some(code), reason) => format!("exited with status {code}: {reason}"),
            (None, reason) => format!("ended without an exit status: {reason}"),
        }
    }
}

impl Terminal {
    /// Whether somebody attaches.
    pub fn is_attached(self) -> bool {
        match self {
            Self::Detached => false,
            Self::Pipes | Self::Tty => true,
        }
    }
}

/// The limit that a client gave in seconds: 1 to 86400; the longest when it gave none.
pub fn time_limit(seconds: Option<i64>) -> Result<Duration, RuleError> {
    let Some(seconds) = seconds else { return Ok(LONGEST_RUN) };
    u64::try_from(seconds)
        .ok()
        .map(Duration::from_secs)
        .filter(|limit| !limit.is_zero() && *limit <= LONGEST_RUN)
        .ok_or_else(|| {
            RuleError::new(format!(
                "The time_to_live {seconds} is out of range: use 1 to {} seconds.",
                LONGEST_RUN.as_secs()
            ))
        })
}
