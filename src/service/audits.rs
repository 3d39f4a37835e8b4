//! Audits: who changed what, and when, read back from the recorded events (`behaviour.md` §33).

use serde_json::{Map, Value, json};

use super::Error;
use super::features::Setting;
use crate::model::addon::AddonChange;
use crate::model::catalogue::Catalogue;
use crate::model::names::UserName;
use crate::model::time::Timestamp;
use crate::store::events::{EventApp, EventFilter, RecordedEvent};
use crate::store::{self, Connection};

/// Audits that are answered when nobody asks for a number.
pub const DEFAULT_SIZE: u32 = 10;
/// Audits that are answered at most.
pub const LARGEST_SIZE: u32 = 1000;

/// One change.
#[derive(Debug, Clone)]
pub struct Audit {
    /// 1, 2, 3 … in the order of the changes.
    pub id: i64,
    /// The documented name of the event, such as `config_change`.
    pub action: String,
    pub app: Option<EventApp>,
    pub author: UserName,
    pub at: Timestamp,
    /// What changed: `type`, `name` and, where it is no secret, `value` of each.
    pub changes: Vec<Value>,
    /// The switched feature, for `feature_change`; `None` for one that the catalogue offers no more.
    pub feature: Option<Setting>,
    /// The other fields of the event.
    pub details: Map<String, Value>,
}

/// The newest changes that the filter lets through, newest first.
pub fn list(
    connection: &Connection,
    catalogue: &Catalogue,
    filter: &EventFilter,
    size: u32,
) -> Result<Vec<Audit>, Error> {
    let events = store::events::list_newest(connection, filter, size.min(LARGEST_SIZE))?;
    events.into_iter().map(|event| audit(connection, event, catalogue)).collect()
}

fn audit(connection: &Connection, event: RecordedEvent, catalogue: &Catalogue) -> Result<Audit, Error> {
    let mut details: Map<String, Value> = serde_json::from_str(&event.payload).map_err(Error::internal)?;
    details.remove("event");
    details.remove("app");
    let mut feature = None;
    let changes = match details.remove("changes") {
        Some(Value::Array(changes)) => changes,
        Some(_) | None => match (details.remove("feature"), details.remove("enabled")) {
            (Some(Value::String(name)), Some(enabled)) => {
                feature = switched(catalogue, &name, &enabled);
                vec![json!({ "type": "update", "name": name, "value": enabled })]
            }
            _ => match addon_change(&event.kind) {
                Some(change) => vec![changed_addon(connection, change, &details)?],
                None => named_changes(&event.kind, &details),
            },
        },
    };
    let action = action(&event.kind).to_owned();
    Ok(Audit {
        id: event.id,
        action,
        app: event.app,
        author: event.author,
        at: event.at,
        changes,
        feature,
        details,
    })
}

/// The name by which the document knows an event; one that it does not know keeps its own. The kinds come
/// from the disk, where those of another version may lie.
fn action(kind: &str) -> &str {
    match kind {
        addon if addon_change(addon).is_some() => "addon_change",
        "app_created" => "created",
        "app_deleted" => "destroy",
        "build_created" | "build_started" | "build_succeeded" | "build_failed" | "build_stopped" => "build",
        "config_vars_changed" => "config_change",
        "dyno_crashed" => "crashed",
        "dyno_signalled" | "one_off_attached" => "dyno-attachment",
        "feature_changed" => "feature_change",
        "filter_attached" => "filter_attachment",
        "filter_attachment_updated" => "filter_attachment_update",
        "filter_detached" => "filter_detachment",
        "formation_created" | "formation_updated" | "formation_deleted" => "formation_change",
        "log_drain_created" | "log_drain_deleted" | "site_log_drain_created" | "site_log_drain_deleted" => {
            "logdrain_change"
        }
        "preview_created" => "preview",
        "preview_released" => "preview-released",
        "release_created" => "release",
        "release_promoted" => "pipeline_promotion",
        "release_succeeded" => "released",
        other => other,
    }
}

/// Of what has a name, or an id in its place.
fn named_changes(kind: &str, details: &Map<String, Value>) -> Vec<Value> {
    let (change, name) = match kind {
        "formation_created" => ("create", "process_type"),
        "formation_updated" => ("update", "process_type"),
        "formation_deleted" => ("delete", "process_type"),
        "log_drain_created" | "site_log_drain_created" => ("create", "drain"),
        "log_drain_deleted" | "site_log_drain_deleted" => ("delete", "drain"),
        _ => return Vec::new(),
    };
    vec![json!({ "type": change, "name": details.get(name) })]
}

/// What an addon, or an app's use of one, went through.
fn addon_change(kind: &str) -> Option<AddonChange> {
    match kind {
        "addon_created" => Some(AddonChange::Create),
        "addon_deleted" => Some(AddonChange::Delete),
        "addon_attached" => Some(AddonChange::Attach),
        "addon_detached" => Some(AddonChange::Detach),
        "addon_promoted" => Some(AddonChange::Promote),
        _ => None,
    }
}

/// With the name of the plan, which `aka` shows (`behaviour.md` §23).
fn changed_addon(
    connection: &Connection,
    change: AddonChange,
    details: &Map<String, Value>,
) -> Result<Value, Error> {
    let id = details.get("addon").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let found = id.map(|id| store::addons::find_any(connection, id)).transpose()?.flatten();
    Ok(match found {
        Some(addon) => json!({
            "type": change, "id": addon.id, "name": addon.name.as_str(), "plan": { "name": addon.plan.name.as_str() },
        }),
        None => json!({ "type": change, "name": details.get("addon") }),
    })
}

fn switched(catalogue: &Catalogue, name: &str, enabled: &Value) -> Option<Setting> {
    let offered = catalogue.features.iter().find(|offered| offered.feature.as_str() == name)?;
    Some(Setting { offered: offered.clone(), enabled: enabled.as_bool()? })
}
