//! GitLab: its REST API v4 and its webhooks.

use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::forge::{
    CONTEXT, Call, Check, CheckOutcome, CommitReport, Forge, HookSpec, Slash, author, encoded, full_sha,
    header, is_no_commit, needed, text,
};
use crate::model::RuleError;
use crate::model::auto_build::{CommitState, SourceCommit, SourceSecret};
use crate::model::pull_request::{PullRequest, PullRequestChange, PullRequestHead};
use crate::model::repository_url::{BranchName, RepositoryUrl};
use crate::model::source_event::SourceEvent;

#[derive(Debug)]
pub(super) struct GitLab;

impl Forge for GitLab {
    fn name(&self) -> &'static str {
        "GitLab"
    }

    fn authorization(&self, token: &SourceSecret) -> String {
        format!("Bearer {}", token.reveal())
    }

    fn list_hooks(&self, repo: &str) -> Option<Call> {
        Some(Call::get(format!("{}/hooks?per_page=100", project(repo))))
    }

    fn hook_url<'a>(&self, hook: &'a Value) -> Option<&'a str> {
        hook.get("url").and_then(Value::as_str)
    }

    fn create_hook(&self, repo: &str, hook: &HookSpec<'_>) -> Call {
        Call::with(Method::POST, format!("{}/hooks", project(repo)), hook_body(hook))
    }

    fn update_hook(&self, repo: &str, id: &str, hook: &HookSpec<'_>) -> Call {
        Call::with(Method::PUT, format!("{}/hooks/{id}", project(repo)), hook_body(hook))
    }

    fn delete_hook(&self, repo: &str, id: &str) -> Call {
        Call::delete(format!("{}/hooks/{id}", project(repo)))
    }

    fn branch(&self, repo: &str, branch: &str) -> Call {
        let branch = encoded(branch, Slash::Encoded);
        Call::get(format!("{}/repository/branches/{branch}", project(repo)))
    }

    fn read_branch(&self, answer: &Value) -> Option<SourceCommit> {
        self.read_commit(answer.get("commit")?)
    }

    fn commit(&self, repo: &str, sha: &str) -> Call {
        Call::get(format!("{}/repository/commits/{sha}", project(repo)))
    }

    fn read_commit(&self, answer: &Value) -> Option<SourceCommit> {
        Some(SourceCommit {
            sha: full_sha(text(answer, "/id")).ok()?,
            message: text(answer, "/message").to_owned(),
            author: text(answer, "/author_name").to_owned(),
            url: text(answer, "/web_url").to_owned(),
        })
    }

    fn checks(&self, repo: &str, sha: &str) -> Vec<Call> {
        vec![Call::get(format!("{}/repository/commits/{sha}/statuses?per_page=100", project(repo)))]
    }

    fn read_checks(&self, answer: &Value) -> Vec<Check> {
        let status = |item: &Value| {
            let is_optional = item.get("allow_failure").and_then(Value::as_bool).unwrap_or(false);
            let outcome = match text(item, "/status") {
                "success" | "skipped" => CheckOutcome::Passed,
                "failed" | "canceled" | "manual" if is_optional => CheckOutcome::Passed,
                "failed" | "canceled" => CheckOutcome::Failed,
                _ => CheckOutcome::Pending,
            };
            Check { name: text(item, "/name").to_owned(), outcome }
        };
        answer.as_array().into_iter().flatten().map(status).collect()
    }

    fn report(&self, repo: &str, sha: &str, report: &CommitReport<'_>) -> Call {
        let state = match report.state {
            CommitState::Pending => "pending",
            CommitState::Success => "success",
            CommitState::Failure | CommitState::Error => "failed",
        };
        let body = json!({
            "state": state, "target_url": report.url, "description": report.description, "name": CONTEXT,
        });
        Call::with(Method::POST, format!("{}/statuses/{sha}", project(repo)), body)
    }

    fn archive(&self, repo: &str, sha: &str) -> String {
        format!("{}/repository/archive.tar.gz?sha={sha}", project(repo))
    }

    fn event_name<'a>(&self, headers: &'a HeaderMap) -> &'a str {
        header(headers, "x-gitlab-event")
    }

    fn repository(&self, payload: &Value) -> Option<RepositoryUrl> {
        RepositoryUrl::parse(text(payload, "/project/web_url")).ok()
    }

    fn event(&self, name: &str, payload: &Value) -> Result<SourceEvent, RuleError> {
        match name {
            "Push Hook" => push(payload),
            "Merge Request Hook" => merge_request(payload),
            "Pipeline Hook" => {
                let sha = needed(payload, "/object_attributes/sha")?.to_owned();
                Ok(SourceEvent::ChecksChanged { sha })
            }
            _ => Ok(SourceEvent::Other),
        }
    }
}

fn project(repo: &str) -> String {
    format!("/projects/{}", encoded(repo, Slash::Encoded))
}

fn hook_body(hook: &HookSpec<'_>) -> Value {
    json!({
        "url": hook.url,
        "token": hook.secret.reveal(),
        "push_events": true,
        "merge_requests_events": true,
        "pipeline_events": hook.checks,
        "enable_ssl_verification": true,
    })
}

fn push(payload: &Value) -> Result<SourceEvent, RuleError> {
    let Some(branch) = needed(payload, "/ref")?.strip_prefix("refs/heads/") else {
        return Ok(SourceEvent::Other);
    };
    let after = text(payload, "/after");
    if is_no_commit(after) {
        return Ok(SourceEvent::Other);
    }
    let commits = payload.get("commits").and_then(Value::as_array);
    let head = commits.and_then(|commits| commits.iter().find(|commit| text(commit, "/id") == after));
    let of_head = |pointer: &str| head.map_or("", |head| text(head, pointer));
    let commit = SourceCommit {
        sha: full_sha(after)?,
        message: of_head("/message").to_owned(),
        author: author(of_head("/author/name"), text(payload, "/user_username")),
        url: of_head("/url").to_owned(),
    };
    Ok(SourceEvent::Push { branch: BranchName::parse(branch)?, commit })
}

fn merge_request(payload: &Value) -> Result<SourceEvent, RuleError> {
    let old_base = text(payload, "/changes/target_branch/previous");
    let change = match (text(payload, "/object_attributes/action"), old_base) {
        ("open" | "reopen", _) => PullRequestChange::Opened,
        ("update", "") => PullRequestChange::Updated,
        ("update", from) => PullRequestChange::Retargeted { from: BranchName::parse(from)? },
        ("close" | "merge", _) => PullRequestChange::Closed,
        _ => return Ok(SourceEvent::Other),
    };
    let number = payload.pointer("/object_attributes/iid").and_then(Value::as_u64);
    Ok(SourceEvent::PullRequest(PullRequest {
        number: number.ok_or_else(|| RuleError::new("The merge request has no iid."))?,
        change,
        title: text(payload, "/object_attributes/title").to_owned(),
        url: text(payload, "/object_attributes/url").to_owned(),
        author: text(payload, "/user/username").to_owned(),
        head: PullRequestHead {
            branch: BranchName::parse(needed(payload, "/object_attributes/source_branch")?)?,
            sha: full_sha(needed(payload, "/object_attributes/last_commit/id")?)?,
            repository: RepositoryUrl::parse(text(payload, "/object_attributes/source/web_url")).ok(),
        },
        base: BranchName::parse(needed(payload, "/object_attributes/target_branch")?)?,
    }))
}
