//! What the providers have in common: the questions that are asked of their APIs, and how answers and webhooks read.
//!
//! Invariant: nothing here does I/O; a forge turns questions into calls and JSON into answers.

use http::{HeaderMap, Method};
use serde_json::Value;

use super::gitea::Gitea;
use super::github::GitHub;
use super::gitlab::GitLab;
use crate::model::RuleError;
use crate::model::auto_build::{Checks, CommitState, SourceCommit, SourceProvider, SourceSecret};
use crate::model::repository_url::RepositoryUrl;
use crate::model::source_event::SourceEvent;

/// The name under which commits are reported on.
pub(super) const CONTEXT: &str = "akkeris";

/// One call of an API, below its address.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

/// A webhook as it is to be at the provider.
#[derive(Debug)]
pub(super) struct HookSpec<'a> {
    pub(super) url: &'a str,
    pub(super) secret: &'a SourceSecret,
    /// It is to tell of status checks too.
    pub(super) checks: bool,
}

/// What is said of a commit.
#[derive(Debug)]
pub(super) struct CommitReport<'a> {
    pub(super) state: CommitState,
    pub(super) url: &'a str,
    pub(super) description: &'a str,
}

/// One check of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) outcome: CheckOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckOutcome {
    Pending,
    Passed,
    Failed,
}

/// One kind of provider. `repo` is the path of a repository: `org/name`.
pub(super) trait Forge: Sync + std::fmt::Debug {
    /// For people.
    fn name(&self) -> &'static str;
    /// The value of the header `Authorization`, which no redirect takes to another host.
    fn authorization(&self, token: &SourceSecret) -> String;
    /// `None` where the API itself refuses a second webhook of the same address.
    fn list_hooks(&self, repo: &str) -> Option<Call>;
    /// The address of a webhook in that list.
    fn hook_url<'a>(&self, hook: &'a Value) -> Option<&'a str>;
    fn create_hook(&self, repo: &str, hook: &HookSpec<'_>) -> Call;
    fn update_hook(&self, repo: &str, id: &str, hook: &HookSpec<'_>) -> Call;
    fn delete_hook(&self, repo: &str, id: &str) -> Call;
    /// The tip of a branch.
    fn branch(&self, repo: &str, branch: &str) -> Call;
    fn read_branch(&self, answer: &Value) -> Option<SourceCommit>;
    fn commit(&self, repo: &str, sha: &str) -> Call;
    fn read_commit(&self, answer: &Value) -> Option<SourceCommit>;
    /// The first must be answered; the others may be refused.
    fn checks(&self, repo: &str, sha: &str) -> Vec<Call>;
    fn read_checks(&self, answer: &Value) -> Vec<Check>;
    fn report(&self, repo: &str, sha: &str, report: &CommitReport<'_>) -> Call;
    /// The path of the source of a commit.
    fn archive(&self, repo: &str, sha: &str) -> String;
    /// The header with the name of an event.
    fn event_name<'a>(&self, headers: &'a HeaderMap) -> &'a str;
    /// Where a payload says that it comes from.
    fn repository(&self, payload: &Value) -> Option<RepositoryUrl>;
    fn event(&self, name: &str, payload: &Value) -> Result<SourceEvent, RuleError>;
}

/// How that provider is spoken to.
pub(super) fn of(provider: SourceProvider) -> &'static dyn Forge {
    match provider {
        SourceProvider::GitHub => &GitHub,
        SourceProvider::GitLab => &GitLab,
        SourceProvider::Gitea => &Gitea,
    }
}

/// All checks together, without our own.
pub(super) fn combined(checks: &[Check]) -> Checks {
    let mut others = checks.iter().filter(|check| check.name != CONTEXT).peekable();
    if others.peek().is_none() {
        return Checks::Absent;
    }
    let (mut failed, mut pending) = (Vec::new(), false);
    for check in others {
        match check.outcome {
            CheckOutcome::Failed => failed.push(check.name.clone()),
            CheckOutcome::Pending => pending = true,
            CheckOutcome::Passed => {}
        }
    }
    match (failed.is_empty(), pending) {
        (false, _) => Checks::Failed(failed),
        (true, true) => Checks::Pending,
        (true, false) => Checks::Passed,
    }
}

impl Call {
    pub(super) fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None }
    }

    pub(super) fn delete(path: String) -> Self {
        Self { method: Method::DELETE, path, body: None }
    }

    pub(super) fn with(method: Method, path: String, body: Value) -> Self {
        Self { method, path, body: Some(body) }
    }
}

/// A header, `""` where it is not sent.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A text at a JSON pointer, `""` where there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A text that must be there.
pub(super) fn needed<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, RuleError> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.ok_or_else(|| {
        RuleError::new(format!(
            "The payload has no text at {}.",
            pointer.trim_start_matches('/').replace('/', ".")
        ))
    })
}

/// `Name (login)`, or the one of them that there is.
pub(super) fn author(name: &str, login: &str) -> String {
    match (name, login) {
        (name, "") => name.to_owned(),
        ("", login) => login.to_owned(),
        (name, login) => format!("{name} ({login})"),
    }
}

/// For a path; a slash stays as it is when `slash` says so.
pub(super) fn encoded(text: &str, slash: Slash) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain || (byte == b'/' && slash == Slash::Kept) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
        encoded
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slash {
    Kept,
    Encoded,
}

/// Whether a hash is of no commit: zeros stand for a branch that is not there.
pub(super) fn is_no_commit(sha: &str) -> bool {
    sha.is_empty() || sha.bytes().all(|byte| byte == b'0')
}

/// A full hash in lower case; anything else would be asked for at the provider under another meaning.
pub(super) fn full_sha(text: &str) -> Result<String, RuleError> {
    if matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(RuleError::new("The payload names a commit that is no full hash."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, outcome: CheckOutcome) -> Check {
        Check { name: name.to_owned(), outcome }
    }

    #[test]
    fn our_own_report_is_no_check() {
        use CheckOutcome::{Failed, Passed, Pending};
        assert_eq!(combined(&[]), Checks::Absent);
        assert_eq!(combined(&[check(CONTEXT, Pending)]), Checks::Absent);
        assert_eq!(combined(&[check(CONTEXT, Failed), check("ci", Passed)]), Checks::Passed);
        assert_eq!(combined(&[check("ci", Passed), check("lint", Pending)]), Checks::Pending);
        let failed = [check("a", Failed), check("b", Pending), check("c", Failed)];
        assert_eq!(combined(&failed), Checks::Failed(vec!["a".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn a_path_holds_nothing_but_itself() {
        assert_eq!(encoded("feature/a b#?", Slash::Kept), "feature/a%20b%23%3F");
        assert_eq!(encoded("a/ü", Slash::Encoded), "a%2F%C3%BC");
    }
}
