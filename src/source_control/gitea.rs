//! Gitea and Forgejo: their API v1 and their webhooks, which follow GitHub's where they can.

use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use super::forge::{
    Call, Check, CheckOutcome, CommitReport, Forge, HookSpec, Slash, encoded, header, needed, text,
};
use super::hub_payload;
use crate::model::RuleError;
use crate::model::auto_build::{SourceCommit, SourceSecret};
use crate::model::repository_url::RepositoryUrl;
use crate::model::source_event::SourceEvent;

#[derive(Debug)]
pub(super) struct Gitea;

impl Forge for Gitea {
    fn name(&self) -> &'static str {
        "Gitea"
    }

    fn authorization(&self, token: &SourceSecret) -> String {
        format!("token {}", token.reveal())
    }

    fn list_hooks(&self, repo: &str) -> Option<Call> {
        Some(Call::get(format!("/repos/{repo}/hooks?limit=50")))
    }

    fn hook_url<'a>(&self, hook: &'a Value) -> Option<&'a str> {
        hook.pointer("/config/url").and_then(Value::as_str)
    }

    fn create_hook(&self, repo: &str, hook: &HookSpec<'_>) -> Call {
        let mut body = hook_body(hook);
        body.insert("type".to_owned(), json!("gitea"));
        Call::with(Method::POST, format!("/repos/{repo}/hooks"), Value::Object(body))
    }

    fn update_hook(&self, repo: &str, id: &str, hook: &HookSpec<'_>) -> Call {
        Call::with(Method::PATCH, format!("/repos/{repo}/hooks/{id}"), Value::Object(hook_body(hook)))
    }

    fn delete_hook(&self, repo: &str, id: &str) -> Call {
        Call::delete(format!("/repos/{repo}/hooks/{id}"))
    }

    fn branch(&self, repo: &str, branch: &str) -> Call {
        Call::get(format!("/repos/{repo}/branches/{}", encoded(branch, Slash::Kept)))
    }

    /// The commit of a branch is in the form of those in webhooks.
    fn read_branch(&self, answer: &Value) -> Option<SourceCommit> {
        hub_payload::pushed_commit(answer.get("commit")?).ok()
    }

    fn commit(&self, repo: &str, sha: &str) -> Call {
        Call::get(format!("/repos/{repo}/git/commits/{sha}"))
    }

    fn read_commit(&self, answer: &Value) -> Option<SourceCommit> {
        hub_payload::read_commit(answer)
    }

    fn checks(&self, repo: &str, sha: &str) -> Vec<Call> {
        vec![Call::get(format!("/repos/{repo}/commits/{sha}/status?limit=50"))]
    }

    fn read_checks(&self, answer: &Value) -> Vec<Check> {
        let status = |item: &Value| Check {
            name: text(item, "/context").to_owned(),
            outcome: match text(item, "/status") {
                "success" | "warning" | "skipped" => CheckOutcome::Passed,
                "pending" => CheckOutcome::Pending,
                _ => CheckOutcome::Failed,
            },
        };
        answer.get("statuses").and_then(Value::as_array).into_iter().flatten().map(status).collect()
    }

    fn report(&self, repo: &str, sha: &str, report: &CommitReport<'_>) -> Call {
        hub_payload::report(repo, sha, report)
    }

    fn archive(&self, repo: &str, sha: &str) -> String {
        format!("/repos/{repo}/archive/{sha}.tar.gz")
    }

    fn event_name<'a>(&self, headers: &'a HeaderMap) -> &'a str {
        let names = ["x-gitea-event", "x-forgejo-event", "x-github-event"];
        names.map(|name| header(headers, name)).into_iter().find(|name| !name.is_empty()).unwrap_or_default()
    }

    fn repository(&self, payload: &Value) -> Option<RepositoryUrl> {
        hub_payload::repository(payload)
    }

    fn event(&self, name: &str, payload: &Value) -> Result<SourceEvent, RuleError> {
        match name {
            "push" => hub_payload::push(payload),
            "pull_request" | "pull_request_sync" => hub_payload::pull_request(payload),
            "status" => Ok(SourceEvent::ChecksChanged { sha: needed(payload, "/sha")?.to_owned() }),
            _ => Ok(SourceEvent::Other),
        }
    }
}

fn hook_body(hook: &HookSpec<'_>) -> Map<String, Value> {
    let mut events = vec!["push", "pull_request", "pull_request_sync"];
    if hook.checks {
        events.push("status");
    }
    let config = json!({ "url": hook.url, "content_type": "json", "secret": hook.secret.reveal() });
    hub_payload::hook_fields(&events, config)
}
