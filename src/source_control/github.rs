//! GitHub: its REST API of 2022-11-28 and its webhooks.

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
pub(super) struct GitHub;

impl Forge for GitHub {
    fn name(&self) -> &'static str {
        "GitHub"
    }

    fn authorization(&self, token: &SourceSecret) -> String {
        format!("Bearer {}", token.reveal())
    }

    fn list_hooks(&self, _repo: &str) -> Option<Call> {
        None
    }

    fn hook_url<'a>(&self, hook: &'a Value) -> Option<&'a str> {
        hook.pointer("/config/url").and_then(Value::as_str)
    }

    fn create_hook(&self, repo: &str, hook: &HookSpec<'_>) -> Call {
        let mut body = hook_body(hook);
        body.insert("name".to_owned(), json!("web"));
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

    fn read_branch(&self, answer: &Value) -> Option<SourceCommit> {
        hub_payload::read_commit(answer.get("commit")?)
    }

    fn commit(&self, repo: &str, sha: &str) -> Call {
        Call::get(format!("/repos/{repo}/commits/{sha}"))
    }

    fn read_commit(&self, answer: &Value) -> Option<SourceCommit> {
        hub_payload::read_commit(answer)
    }

    /// Statuses are what others report through the API, check runs what apps such as Actions do.
    fn checks(&self, repo: &str, sha: &str) -> Vec<Call> {
        vec![
            Call::get(format!("/repos/{repo}/commits/{sha}/status?per_page=100")),
            Call::get(format!("/repos/{repo}/commits/{sha}/check-runs?per_page=100")),
        ]
    }

    fn read_checks(&self, answer: &Value) -> Vec<Check> {
        let items = |field: &str| answer.get(field).and_then(Value::as_array).into_iter().flatten();
        let status = |item: &Value| Check {
            name: text(item, "/context").to_owned(),
            outcome: match text(item, "/state") {
                "success" => CheckOutcome::Passed,
                "pending" => CheckOutcome::Pending,
                _ => CheckOutcome::Failed,
            },
        };
        let run = |item: &Value| Check {
            name: text(item, "/name").to_owned(),
            outcome: match (text(item, "/status"), text(item, "/conclusion")) {
                ("completed", "success" | "neutral" | "skipped") => CheckOutcome::Passed,
                ("completed", _) => CheckOutcome::Failed,
                _ => CheckOutcome::Pending,
            },
        };
        items("statuses").map(status).chain(items("check_runs").map(run)).collect()
    }

    fn report(&self, repo: &str, sha: &str, report: &CommitReport<'_>) -> Call {
        hub_payload::report(repo, sha, report)
    }

    fn archive(&self, repo: &str, sha: &str) -> String {
        format!("/repos/{repo}/zipball/{sha}")
    }

    fn event_name<'a>(&self, headers: &'a HeaderMap) -> &'a str {
        header(headers, "x-github-event")
    }

    fn repository(&self, payload: &Value) -> Option<RepositoryUrl> {
        hub_payload::repository(payload)
    }

    fn event(&self, name: &str, payload: &Value) -> Result<SourceEvent, RuleError> {
        let changed =
            |pointer: &str| Ok(SourceEvent::ChecksChanged { sha: needed(payload, pointer)?.to_owned() });
        match name {
            "ping" => Ok(SourceEvent::Ping),
            "push" => hub_payload::push(payload),
            "pull_request" => hub_payload::pull_request(payload),
            "status" => changed("/sha"),
            "check_run" => changed("/check_run/head_sha"),
            "check_suite" => changed("/check_suite/head_sha"),
            _ => Ok(SourceEvent::Other),
        }
    }
}

fn hook_body(hook: &HookSpec<'_>) -> Map<String, Value> {
    let mut events = vec!["push", "pull_request"];
    if hook.checks {
        events.extend(["status", "check_run"]);
    }
    let config = json!({
        "url": hook.url, "content_type": "json", "secret": hook.secret.reveal(), "insecure_ssl": "0",
    });
    hub_payload::hook_fields(&events, config)
}
