//! Auto builds: an app that follows a branch of a repository (`behaviour.md` §12).

use std::time::Duration;

use super::ids::{AppId, AutoBuildId, AutoBuildRunId, BuildId};
use super::names::UserName;
use super::repository_url::{BranchName, RepositoryUrl};
use super::rule::{RuleError, shown};
use super::time::Timestamp;

crate::text_enum! {
    /// The kinds of servers that hold repositories. Forgejo speaks as Gitea does.
    pub enum SourceProvider {
        GitHub => "github",
        GitLab => "gitlab",
        Gitea => "gitea",
    }
}

/// What an app is built from by itself. An app has one at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoBuild {
    pub id: AutoBuildId,
    pub app_id: AppId,
    pub provider: SourceProvider,
    pub repo: RepositoryUrl,
    pub branch: BranchName,
    /// Whose token it is; only shown.
    pub username: String,
    pub token: SourceSecret,
    pub delivery: SourceDelivery,
    /// Builds wait until the checks of the commit have passed.
    pub status_check: bool,
    /// Successful builds are released.
    pub auto_deploy: bool,
    /// Where this API is for the provider, without a slash at its end.
    pub origin: String,
    pub created_by: UserName,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How an auto build hears of what happens in its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceDelivery {
    /// By a webhook of its own: the provider's id of it, and what it signs with.
    Hook { id: String, secret: SourceSecret },
    /// By that of another app's auto build of the same repository: a preview.
    With(AppId),
}

/// A token or the secret of a webhook: printable ASCII, 1 to 512 bytes. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceSecret(String);

/// A commit, as its provider tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceCommit {
    /// In full.
    pub sha: String,
    pub message: String,
    /// `Name (login)`.
    pub author: String,
    /// For people.
    pub url: String,
}

/// One commit on its way to a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoBuildRun {
    pub id: AutoBuildRunId,
    pub auto_build: AutoBuildId,
    pub app_id: AppId,
    pub trigger: RunTrigger,
    pub branch: BranchName,
    pub sha: String,
    /// `None` until the provider was asked.
    pub commit: Option<SourceCommit>,
    pub state: RunState,
    /// What the provider was told last of the commit.
    pub reported: Option<CommitState>,
    /// Failed attempts to tell it more.
    pub report_attempts: u32,
    pub created_by: UserName,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// It is looked at again at `due_at`, and has been `attempts` times.
    Waiting {
        attempts: u32,
        due_at: Timestamp,
    },
    Built(BuildId),
    /// There is no build; a sentence for people.
    Failed(String),
    /// A later commit came first, or the auto build is gone.
    Superseded,
}

crate::text_enum! {
    /// Why a commit is built.
    pub enum RunTrigger {
        /// The auto build was made.
        Created => "created",
        Push => "push",
        /// Somebody asked for it.
        Manual => "manual",
        /// A release candidate was cut from it. Its build is not released by itself.
        Candidate => "release_candidate",
    }
}

crate::text_enum! {
    /// What a provider is told of a commit.
    pub enum CommitState {
        Pending => "pending",
        Success => "success",
        Failure => "failure",
        Error => "error",
    }
}

/// The checks of a commit at its provider, ours left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checks {
    /// Nothing checks this repository, or nothing has begun to.
    Absent,
    Pending,
    Passed,
    /// The names of those that failed.
    Failed(Vec<String>),
}

/// What follows from the checks of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChecksVerdict {
    Build,
    Wait,
    /// A sentence for people.
    GiveUp(String),
}

/// How long checks are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChecksLimits {
    /// Until they have passed.
    pub total: Duration,
    /// Until a commit that nothing reports on counts as checked.
    pub absence: Duration,
}

const SECRET_LIMIT: usize = 512;
const USERNAME_LIMIT: usize = 255;
/// The first pause between two looks at a commit; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

impl SourceSecret {
    /// Wants 1 to 512 printable characters; the error does not show it.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        if text.is_empty() || text.len() > SECRET_LIMIT || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(RuleError::new(format!(
                "The token is not usable: send 1 to {SECRET_LIMIT} printable characters without spaces, as the provider shows it."
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes a text that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The secret, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SourceSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SourceSecret([sealed])")
    }
}

/// The name of a user at a provider; no e-mail address (`behaviour.md` §12).
pub fn check_username(text: &str) -> Result<String, RuleError> {
    let name = text.trim();
    let usable = !name.is_empty()
        && name.len() <= USERNAME_LIMIT
        && !name.contains('@')
        && name.chars().all(|c| !c.is_control() && !c.is_whitespace());
    if usable {
        return Ok(name.to_owned());
    }
    Err(RuleError::new(format!(
        "The username \"{}\" is not usable: send the user's name at the provider, no e-mail address.",
        shown(text)
    )))
}

/// The pause before a commit is looked at again.
pub fn pause(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts)).min(LONGEST_PAUSE)
}

impl Checks {
    /// Judges them by the age of what waits for them.
    pub fn judge(&self, age: Duration, limits: ChecksLimits) -> ChecksVerdict {
        let minutes = limits.total.as_secs() / 60;
        match self {
            Self::Passed => ChecksVerdict::Build,
            Self::Absent if age >= limits.absence => ChecksVerdict::Build,
            Self::Failed(names) => {
                ChecksVerdict::GiveUp(format!("The status checks failed: {}.", shown(&names.join(", "))))
            }
            Self::Absent | Self::Pending if age >= limits.total => {
                ChecksVerdict::GiveUp(format!("The status checks had not passed after {minutes} minutes."))
            }
            Self::Absent | Self::Pending => ChecksVerdict::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ChecksLimits =
        ChecksLimits { total: Duration::from_hours(1), absence: Duration::from_mins(5) };

    #[test]
    fn a_commit_is_built_once_its_checks_have_passed_or_nothing_checks_it() {
        let young = Duration::from_secs(1);
        assert_eq!(Checks::Passed.judge(young, LIMITS), ChecksVerdict::Build);
        assert_eq!(Checks::Absent.judge(young, LIMITS), ChecksVerdict::Wait);
        assert_eq!(Checks::Absent.judge(LIMITS.absence, LIMITS), ChecksVerdict::Build);
        assert_eq!(Checks::Pending.judge(LIMITS.absence, LIMITS), ChecksVerdict::Wait);
        for (checks, age, part) in [
            (Checks::Pending, LIMITS.total, "60 minutes"),
            (Checks::Failed(vec!["ci".to_owned(), "lint".to_owned()]), young, "ci, lint"),
        ] {
            let ChecksVerdict::GiveUp(reason) = checks.judge(age, LIMITS) else { panic!("{checks:?}") };
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        assert_eq!([0, 1, 2].map(|n| pause(n).as_secs()), [2, 4, 8]);
        assert_eq!([5, 31, 1000].map(|n| pause(n).as_secs()), [60, 60, 60]);
    }

    #[test]
    fn a_token_is_neither_shown_nor_taken_with_spaces() {
        let token = SourceSecret::parse(" ghp_x ").unwrap();
        assert_eq!(token.reveal(), "ghp_x");
        assert!(!format!("{token:?}").contains("ghp"));
        let error = SourceSecret::parse("se cret").unwrap_err().to_string();
        assert!(!error.contains("se cret"), "{error}");
        for bad in ["", "a@b.c", "a b", &"x".repeat(256)] {
            assert!(check_username(bad).is_err(), "{bad}");
        }
    }
}
