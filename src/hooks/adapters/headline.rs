//! An event in one sentence, for chats and pagers.

use serde_json::Value;

use crate::model::hook::HookEvent;

/// What people read first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Headline {
    /// The app's key.
    pub(super) app: String,
    pub(super) text: String,
    pub(super) severity: Severity,
}

/// How much an event matters to who is on call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Critical,
    Error,
    Info,
}

/// Longest text, in characters; every service takes as much.
const TEXT_LIMIT: usize = 1000;

impl Headline {
    /// Of an event as it is documented.
    pub(super) fn of(event: HookEvent, payload: &Value) -> Self {
        let app = format!("{}-{}", text(payload, "/app/name"), text(payload, "/space/name"));
        let what = what(event, payload);
        let text = format!("{app}: {what}").chars().take(TEXT_LIMIT).collect();
        Self { app, text, severity: severity(event, payload) }
    }
}

fn what(event: HookEvent, payload: &Value) -> String {
    let at = |path: &str| text(payload, path);
    match event {
        HookEvent::Build => format!("build {} is {}", at("/build/id"), at("/build/result")),
        HookEvent::Release if at("/release/result") == "failed" => {
            format!("release v{} failed ({})", at("/release/version"), at("/release/description"))
        }
        HookEvent::Release => {
            format!("release v{} began ({})", at("/release/version"), at("/release/description"))
        }
        HookEvent::Released => format!("v{} runs ({})", at("/release/version"), at("/dyno/type")),
        HookEvent::ConfigChange => format!("config vars changed: {}", names(payload)),
        HookEvent::Crashed => format!(
            "{}.{} crashed: {} {}",
            at("/dynos/0/type"),
            at("/dynos/0/dyno"),
            at("/code"),
            at("/description")
        ),
        HookEvent::Destroy => "the app was deleted".to_owned(),
        HookEvent::Updated => "the app's settings changed".to_owned(),
        HookEvent::FeatureChange => {
            let switched = if at("/changes/0/value") == "true" { "on" } else { "off" };
            format!("{} was switched {switched}", at("/changes/0/name"))
        }
        HookEvent::FormationChange => format!(
            "formation {} {}: {} × {}",
            at("/changes/0/type"),
            at("/change"),
            at("/changes/0/quantity"),
            at("/changes/0/size")
        ),
        HookEvent::PipelinePromotion => {
            format!("promoted from {}-{}", at("/promoted_from/app/name"), at("/promoted_from/space/name"))
        }
        HookEvent::AddonChange
        | HookEvent::LogdrainChange
        | HookEvent::Preview
        | HookEvent::PreviewReleased
        | HookEvent::SecurityScan => event.description().to_owned(),
    }
}

fn severity(event: HookEvent, payload: &Value) -> Severity {
    let failed = |path: &str| text(payload, path) == "failed";
    match event {
        HookEvent::Crashed => Severity::Critical,
        HookEvent::Build if failed("/build/result") => Severity::Error,
        HookEvent::Release if failed("/release/result") => Severity::Error,
        HookEvent::AddonChange
        | HookEvent::Build
        | HookEvent::ConfigChange
        | HookEvent::Destroy
        | HookEvent::Updated
        | HookEvent::FeatureChange
        | HookEvent::FormationChange
        | HookEvent::LogdrainChange
        | HookEvent::PipelinePromotion
        | HookEvent::Preview
        | HookEvent::PreviewReleased
        | HookEvent::Release
        | HookEvent::Released
        | HookEvent::SecurityScan => Severity::Info,
    }
}

fn names(payload: &Value) -> String {
    let changes = payload.get("changes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = changes.iter().filter_map(|change| change.get("name")?.as_str()).collect();
    names.join(", ")
}

/// What lies at a pointer, as text; empty when nothing does.
fn text(payload: &Value, pointer: &str) -> String {
    match payload.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_crash_is_critical_and_says_which_dyno_and_why() {
        let payload = json!({ "app": { "name": "events" }, "space": { "name": "perf" }, "code": "R14",
            "description": "Memory quota exceeded", "dynos": [{ "type": "web", "dyno": "1-a" }] });
        let headline = Headline::of(HookEvent::Crashed, &payload);
        assert_eq!(headline.text, "events-perf: web.1-a crashed: R14 Memory quota exceeded");
        assert_eq!(headline.severity, Severity::Critical);
    }

    #[test]
    fn a_headline_is_bounded_and_every_event_has_one() {
        for event in HookEvent::ALL {
            assert!(Headline::of(*event, &json!({})).text.len() > 4, "{event}");
        }
        let long = json!({ "release": { "description": "ä".repeat(5000) } });
        assert_eq!(Headline::of(HookEvent::Release, &long).text.chars().count(), TEXT_LIMIT);
    }
}
