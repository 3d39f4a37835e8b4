//! Alerting services: `PagerDuty` and Opsgenie. Their key stands in the address as user or parameter; without one
//! the hook's secret is the key.

use serde_json::{Value, json};

use super::Adapted;
use super::headline::{Headline, Severity};
use crate::model::build::without_userinfo;
use crate::model::hook::{Hook, HookEvent};
use crate::model::hook_delivery::Delivery;

/// Events with more JSON than this are sent without it; both services refuse more than 512 KB.
const DETAILS_LIMIT: usize = 256 * 1024;
/// The longest message that Opsgenie takes, in characters.
const MESSAGE_LIMIT: usize = 130;

/// A trigger of the Events API v2, or a change event where the address is the one for changes.
pub(super) fn pager_duty(hook: &Hook, delivery: &Delivery, headline: &Headline, event: Value) -> Adapted {
    let target = Target::of(hook, "routing_key");
    let small = delivery.payload.reveal().len() <= DETAILS_LIMIT;
    let details = if small { event } else { Value::Null };
    let body = if target.url.ends_with("/change/enqueue") {
        json!({
            "routing_key": target.key,
            "payload": {
                "summary": headline.text,
                "timestamp": delivery.created_at,
                "source": headline.app,
                "custom_details": details,
            },
        })
    } else {
        json!({
            "routing_key": target.key,
            "event_action": "trigger",
            "dedup_key": alias(headline, delivery),
            "payload": {
                "summary": headline.text,
                "timestamp": delivery.created_at,
                "source": headline.app,
                "severity": pager_duty_severity(headline.severity),
                "component": headline.app,
                "class": delivery.event,
                "custom_details": details,
            },
        })
    };
    Adapted { url: target.url, authorization: None, body: body.to_string() }
}

/// An alert of the Alert API.
pub(super) fn opsgenie(hook: &Hook, delivery: &Delivery, headline: &Headline, event: &Value) -> Adapted {
    let target = Target::of(hook, "apiKey");
    let message: String = headline.text.chars().take(MESSAGE_LIMIT).collect();
    let body = json!({
        "message": message,
        "alias": alias(headline, delivery),
        "description": headline.text,
        "source": "akkeris",
        "entity": headline.app,
        "tags": ["akkeris", delivery.event],
        "priority": priority(headline.severity),
        // Opsgenie takes texts only, 8000 characters of them.
        "details": {
            "app": headline.app,
            "event": delivery.event,
            "code": event.get("code").and_then(Value::as_str).unwrap_or_default(),
            "delivery": delivery.id,
        },
    });
    let authorization = Some(format!("GenieKey {}", target.key));
    Adapted { url: target.url, authorization, body: body.to_string() }
}

/// The address without its key, and the key.
struct Target {
    url: String,
    key: String,
}

impl Target {
    fn of(hook: &Hook, parameter: &str) -> Self {
        let full = hook.url.reveal();
        let url = without_userinfo(full);
        let (url, query) = url.split_once('?').map_or((url.as_str(), ""), |(url, query)| (url, query));
        let user = userinfo(full).map(|user| user.split_once(':').map_or(user, |(_, password)| password));
        let in_query = query.split('&').find_map(|pair| {
            pair.split_once('=').filter(|(name, _)| *name == parameter).map(|(_, value)| value)
        });
        let key = user.or(in_query).unwrap_or_else(|| hook.secret.reveal());
        Self { url: url.to_owned(), key: key.to_owned() }
    }
}

fn userinfo(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@').map(|(user, _)| user)
}

/// Crashes of an app are one incident; anything else is its own.
fn alias(headline: &Headline, delivery: &Delivery) -> String {
    if delivery.event == HookEvent::Crashed {
        format!("akkeris/{}/crashed", headline.app)
    } else {
        format!("akkeris/{}/{}", headline.app, delivery.id)
    }
}

fn pager_duty_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Error => "error",
        Severity::Info => "info",
    }
}

fn priority(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "P1",
        Severity::Error => "P2",
        Severity::Info => "P5",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::adapters::adapt;
    use crate::model::hook::{HookEvents, HookHealth, HookSecret};
    use crate::model::hook_delivery::{DeliveryReport, DeliveryState, Payload};
    use crate::model::hook_url::HookUrl;
    use crate::model::ids::{AppId, DeliveryId, HookId};
    use crate::model::time::Timestamp;
    use uuid::Uuid;

    fn sent(url: &str) -> (Adapted, Value) {
        let now = Timestamp::from_millis(0);
        let hook = Hook {
            id: HookId::new(Uuid::nil()),
            app_id: AppId::new(Uuid::nil()),
            url: HookUrl::parse(url).unwrap(),
            secret: HookSecret::parse("the-secret").unwrap(),
            events: HookEvents::parse(&["crashed".to_owned()]).unwrap(),
            active: true,
            health: HookHealth::default(),
            created_at: now,
            updated_at: now,
        };
        let payload = json!({ "action": "crashed", "app": { "name": "a" }, "space": { "name": "b" },
            "code": "H10", "description": "App crashed", "dynos": [{ "type": "web", "dyno": "1-x" }] });
        let delivery = Delivery {
            id: DeliveryId::new(Uuid::nil()),
            hook_id: hook.id,
            event: HookEvent::Crashed,
            author: crate::model::principal::Principal::daemon().user,
            payload: Payload::new(payload.to_string()),
            state: DeliveryState::Waiting,
            attempts: 1,
            report: DeliveryReport::default(),
            created_at: now,
            updated_at: now,
        };
        let adapted = adapt(&hook, &delivery);
        let body = serde_json::from_str(&adapted.body).unwrap();
        (adapted, body)
    }

    #[test]
    fn pager_duty_gets_a_trigger_with_the_key_of_the_address_or_the_secret() {
        let (adapted, body) = sent("https://events.pagerduty.com/v2/enqueue?routing_key=abc");
        assert_eq!(adapted.url, "https://events.pagerduty.com/v2/enqueue");
        assert_eq!((&body["routing_key"], &body["event_action"]), (&json!("abc"), &json!("trigger")));
        assert_eq!(body["payload"]["severity"], "critical");
        assert_eq!(body["payload"]["source"], "a-b");
        assert_eq!(body["payload"]["custom_details"]["code"], "H10");
        assert_eq!(body["dedup_key"], "akkeris/a-b/crashed");
        assert_eq!(sent("https://key@events.pagerduty.com/v2/enqueue").1["routing_key"], "key");
        let (_, change) = sent("https://events.eu.pagerduty.com/v2/change/enqueue");
        assert_eq!((&change["routing_key"], change.get("event_action")), (&json!("the-secret"), None));
    }

    #[test]
    fn opsgenie_gets_an_alert_and_its_key_in_a_header() {
        let (adapted, body) = sent("https://user:abc@api.eu.opsgenie.com/v2/alerts");
        assert_eq!(adapted.url, "https://api.eu.opsgenie.com/v2/alerts");
        assert_eq!(adapted.authorization.as_deref(), Some("GenieKey abc"));
        assert_eq!((&body["priority"], &body["details"]["code"]), (&json!("P1"), &json!("H10")));
        assert_eq!(body["message"], "a-b: web.1-x crashed: H10 App crashed");
        let (adapted, _) = sent("https://api.opsgenie.com/v2/alerts?apiKey=k");
        assert_eq!(adapted.authorization.as_deref(), Some("GenieKey k"));
    }
}
