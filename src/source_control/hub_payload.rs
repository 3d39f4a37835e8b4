//! What GitHub, Gitea and Forgejo have in common: nearly the same webhooks, and the calls that two of them share.

use http::Method;
use serde_json::{Map, Value, json};

use super::forge::{CONTEXT, Call, CommitReport, author, full_sha, is_no_commit, needed, text};
use crate::model::RuleError;
use crate::model::auto_build::SourceCommit;
use crate::model::pull_request::{PullRequest, PullRequestChange, PullRequestHead};
use crate::model::repository_url::{BranchName, RepositoryUrl};
use crate::model::source_event::SourceEvent;

/// Where a payload says that it comes from.
pub(super) fn repository(payload: &Value) -> Option<RepositoryUrl> {
    RepositoryUrl::parse(text(payload, "/repository/html_url")).ok()
}

/// A push without a head commit deletes a branch, and one of a tag is none of ours.
pub(super) fn push(payload: &Value) -> Result<SourceEvent, RuleError> {
    let Some(branch) = needed(payload, "/ref")?.strip_prefix("refs/heads/") else {
        return Ok(SourceEvent::Other);
    };
    let after = text(payload, "/after");
    let head = payload.get("head_commit").filter(|head| head.is_object());
    // Gitea of old names the head in the list only.
    let head = head.or_else(|| {
        let commits = payload.get("commits")?.as_array()?;
        commits.iter().find(|commit| text(commit, "/id") == after)
    });
    let Some(head) = head.filter(|_| !is_no_commit(after)) else { return Ok(SourceEvent::Other) };
    let commit = pushed_commit(head)?;
    Ok(SourceEvent::Push { branch: BranchName::parse(branch)?, commit })
}

/// A commit as webhooks show it.
pub(super) fn pushed_commit(commit: &Value) -> Result<SourceCommit, RuleError> {
    Ok(SourceCommit {
        sha: full_sha(needed(commit, "/id")?)?,
        message: text(commit, "/message").to_owned(),
        author: author(text(commit, "/author/name"), text(commit, "/author/username")),
        url: text(commit, "/url").to_owned(),
    })
}

/// The fields of a webhook to be made or changed, for these events and with this configuration.
pub(super) fn hook_fields(events: &[&str], config: Value) -> Map<String, Value> {
    let fields = [("active", json!(true)), ("events", json!(events)), ("config", config)];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Writes down on a commit what became of its build.
pub(super) fn report(repo: &str, sha: &str, report: &CommitReport<'_>) -> Call {
    let body = json!({
        "state": report.state, "target_url": report.url, "description": report.description, "context": CONTEXT,
    });
    Call::with(Method::POST, format!("/repos/{repo}/statuses/{sha}"), body)
}

/// A change of a pull request; those that change nothing for a preview are left out.
pub(super) fn pull_request(payload: &Value) -> Result<SourceEvent, RuleError> {
    let old_base = [text(payload, "/changes/base/ref/from"), text(payload, "/changes/ref/from")];
    let change = match (needed(payload, "/action")?, old_base.into_iter().find(|base| !base.is_empty())) {
        ("opened" | "reopened", _) => PullRequestChange::Opened,
        ("edited", Some(from)) => PullRequestChange::Retargeted { from: BranchName::parse(from)? },
        ("edited" | "synchronize" | "synchronized", _) => PullRequestChange::Updated,
        ("closed", _) => PullRequestChange::Closed,
        _ => return Ok(SourceEvent::Other),
    };
    let request =
        payload.get("pull_request").ok_or_else(|| RuleError::new("The payload has no pull_request."))?;
    let number = request.get("number").or_else(|| payload.get("number")).and_then(Value::as_u64);
    Ok(SourceEvent::PullRequest(PullRequest {
        number: number.ok_or_else(|| RuleError::new("The pull request has no number."))?,
        change,
        title: text(request, "/title").to_owned(),
        url: text(request, "/html_url").to_owned(),
        author: text(request, "/user/login").to_owned(),
        head: PullRequestHead {
            branch: BranchName::parse(needed(request, "/head/ref")?)?,
            sha: full_sha(needed(request, "/head/sha")?)?,
            repository: RepositoryUrl::parse(text(request, "/head/repo/html_url")).ok(),
        },
        base: BranchName::parse(needed(request, "/base/ref")?)?,
    }))
}

/// A commit as the API shows it.
pub(super) fn read_commit(answer: &Value) -> Option<SourceCommit> {
    let login = [text(answer, "/author/login"), text(answer, "/author/username")];
    Some(SourceCommit {
        sha: full_sha(text(answer, "/sha")).ok()?,
        message: text(answer, "/commit/message").to_owned(),
        author: author(
            text(answer, "/commit/author/name"),
            login.into_iter().find(|login| !login.is_empty()).unwrap_or_default(),
        ),
        url: text(answer, "/html_url").to_owned(),
    })
}
