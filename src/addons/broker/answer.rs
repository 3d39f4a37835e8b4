//! What a broker's answers mean, the table of the specification among them ("Orphan Mitigation").

use std::time::Duration;

use serde_json::Value;

use super::ProviderError;
use crate::outbound::OutboundError;

/// An answer as it came.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The body; null when it is no JSON.
    pub(super) json: Value,
    /// When the broker wants to be asked again.
    pub(super) retry_after: Option<Duration>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A service instance or a binding was to be made: what goes wrong may leave one behind.
    Making,
    /// The plan was to be changed; the same request can be sent again.
    Change,
    /// Something was to be taken away; the same request is sent until it is gone.
    Removal,
}

/// What an answer means that is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    Done,
    /// The broker works on.
    Accepted,
}

/// How far an accepted work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LastOperation {
    InProgress,
    Succeeded,
    Failed(String),
}

/// Longest text of a broker that is shown.
const TEXT_LIMIT: usize = 300;

impl Reply {
    /// A text of the body.
    pub(super) fn text(&self, field: &str) -> Option<String> {
        self.json.get(field)?.as_str().map(str::to_owned)
    }

    /// What the broker says is wrong, for people; bounded, on one line.
    pub(super) fn complaint(&self) -> String {
        let description = self.text("description").filter(|text| !text.trim().is_empty());
        match description {
            Some(text) => format!("The broker answered {}: {}", self.status, bounded(&text)),
            None => format!("The broker answered {} and did not say why.", self.status),
        }
    }

    fn is_error(&self, word: &str) -> bool {
        self.text("error").as_deref() == Some(word)
    }
}

impl LastOperation {
    /// What the body of a 200 says.
    pub(super) fn of(reply: &Reply) -> Result<Self, ProviderError> {
        let description = reply.text("description").map(|text| bounded(&text));
        match reply.text("state").as_deref() {
            Some("in progress") => Ok(Self::InProgress),
            Some("succeeded") => Ok(Self::Succeeded),
            Some("failed") => Ok(Self::Failed(match description {
                Some(text) if !text.is_empty() => format!("The broker failed: {text}"),
                Some(_) | None => "The broker failed and did not say why.".to_owned(),
            })),
            Some(other) => Err(ProviderError::Later(format!(
                "The broker says that its work is \"{}\", which means nothing.",
                bounded(other)
            ))),
            None => Err(ProviderError::Later("The broker does not say how far its work is.".to_owned())),
        }
    }
}

/// What an answer means for what was asked.
pub(super) fn judge(kind: Kind, reply: &Reply) -> Result<Judged, ProviderError> {
    let (well_formed, complaint) = (reply.json.is_object(), reply.complaint());
    let nonsense = || format!("The broker answered {} with what is no JSON object.", reply.status);
    let may_pass = matches!(reply.status, 408 | 429) || reply.is_error("ConcurrencyError");
    match (reply.status, kind) {
        (200 | 410, Kind::Removal) => Ok(Judged::Done),
        (202, _) if well_formed => Ok(Judged::Accepted),
        (200 | 201, Kind::Making) | (200, Kind::Change) if well_formed => Ok(Judged::Done),
        // By the specification nothing new is left behind by a 200.
        (200, Kind::Making | Kind::Change) => Err(ProviderError::Refused(nonsense())),
        (200..=299, Kind::Making) => Err(ProviderError::Broken(nonsense())),
        (400..=499, _) if !may_pass => Err(ProviderError::Refused(complaint)),
        (300..=399 | 500.., Kind::Making) => Err(ProviderError::Broken(complaint)),
        _ => Err(ProviderError::Later(complaint)),
    }
}

/// No answer came to what can be asked again.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn unheard(error: OutboundError) -> ProviderError {
    ProviderError::Later(format!("The broker cannot be reached: {error}."))
}

/// No answer came to a request that makes something: one that was cut off may have made it.
pub(super) fn unheard_making(error: OutboundError) -> ProviderError {
    match error {
        OutboundError::TimedOut(_) => ProviderError::Broken(format!("The broker did not answer: {error}.")),
        OutboundError::Url | OutboundError::Private(_) | OutboundError::Forbidden(_) => {
            ProviderError::Refused(format!("The broker cannot be asked: {error}."))
        }
        OutboundError::Status(_)
        | OutboundError::TooLarge(_)
        | OutboundError::Transport(_)
        | OutboundError::Io(_) => unheard(error),
    }
}

fn bounded(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_LIMIT).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(status: u16, json: Value) -> Reply {
        Reply { status, json, retry_after: None }
    }

    fn meaning(kind: Kind, status: u16, json: Value) -> &'static str {
        match judge(kind, &reply(status, json)) {
            Ok(Judged::Done) => "done",
            Ok(Judged::Accepted) => "accepted",
            Err(ProviderError::Refused(_)) => "refused",
            Err(ProviderError::Broken(_)) => "broken",
            Err(ProviderError::Later(_)) => "later",
            Err(ProviderError::Store(_)) => "store",
        }
    }

    #[test]
    fn what_is_left_behind_follows_the_table_of_the_specification() {
        for (status, json, wanted) in [
            (200, json!({}), "done"),
            (200, Value::Null, "refused"),
            (201, json!({}), "done"),
            (201, json!([]), "broken"),
            (202, json!({}), "accepted"),
            (202, Value::Null, "broken"),
            (204, Value::Null, "broken"),
            (400, json!({ "description": "no" }), "refused"),
            (401, json!({}), "refused"),
            (408, json!({}), "later"),
            (409, json!({}), "refused"),
            (410, json!({}), "refused"),
            (422, json!({ "error": "AsyncRequired" }), "refused"),
            (422, json!({ "error": "ConcurrencyError" }), "later"),
            (429, json!({}), "later"),
            (500, json!({}), "broken"),
            (503, Value::Null, "broken"),
            (302, Value::Null, "broken"),
        ] {
            assert_eq!(meaning(Kind::Making, status, json.clone()), wanted, "{status} {json}");
        }
    }

    #[test]
    fn what_is_gone_is_taken_away_and_what_fails_is_taken_away_later() {
        for (status, wanted) in [
            (200, "done"),
            (410, "done"),
            (202, "accepted"),
            (400, "refused"),
            (500, "later"),
            (404, "refused"),
        ] {
            assert_eq!(meaning(Kind::Removal, status, json!({})), wanted, "{status}");
        }
        assert_eq!(meaning(Kind::Change, 500, json!({})), "later");
        assert_eq!(meaning(Kind::Change, 400, json!({})), "refused");
    }

    #[test]
    fn a_complaint_is_one_line_of_bounded_length() {
        let long = format!("a\nb{}", "x".repeat(1000));
        let text = reply(500, json!({ "description": long })).complaint();
        assert!(text.starts_with("The broker answered 500: a b") && text.len() < 400, "{text}");
    }

    #[test]
    fn a_state_that_means_nothing_is_no_end() {
        let state = |json| LastOperation::of(&reply(200, json));
        assert_eq!(state(json!({ "state": "in progress" })).unwrap(), LastOperation::InProgress);
        let failed = state(json!({ "state": "failed", "description": "no room" })).unwrap();
        assert_eq!(failed, LastOperation::Failed("The broker failed: no room".to_owned()));
        for nonsense in [json!({ "state": "purple" }), json!({}), Value::Null, json!([1])] {
            assert!(matches!(state(nonsense), Err(ProviderError::Later(_))));
        }
    }
}
