//! The JSON of each event, in the documented shape ("Webhook Event Payloads", `behaviour.md` §23).
//!
//! Invariant: `app.name` is the short name, and config vars are redacted as in answers (reading 13).

mod addon;
mod preview;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::subject::Subject;
use crate::model::app::App;
use crate::model::build::Build;
use crate::model::catalogue::Catalogue;
use crate::model::config_var::redacted;
use crate::model::event::{ChangeKind, ConfigVarChanged};
use crate::model::feature::Feature;
use crate::model::formation::{Formation, Port};
use crate::model::hook::HookEvent;
use crate::model::hook_delivery::Payload;
use crate::model::ids::{AppId, BuildId, FormationId, LogDrainId, ReleaseId};
use crate::model::names::ProcessType;
use crate::model::release::Release;
use crate::model::time::Timestamp;
use crate::seal::Sealer;
use crate::store::{self, StoreError, Tx};

/// What payloads are read from: the state as the event's own transaction sees it.
pub(super) struct Scene<'a> {
    tx: &'a Tx<'a>,
    sealer: &'a Sealer,
    catalogue: &'a Catalogue,
    app: App,
}

/// What every payload begins with.
#[derive(Serialize)]
struct Envelope<D> {
    action: HookEvent,
    app: AppPart,
    space: Named,
    #[serde(flatten)]
    details: D,
}

#[derive(Serialize)]
struct AppPart {
    name: String,
    id: AppId,
    #[serde(flatten)]
    state: Option<AppState>,
}

/// What of an app `updated` tells.
#[derive(Serialize)]
struct AppState {
    description: String,
    labels: String,
    maintenance: bool,
}

#[derive(Serialize)]
struct Named {
    name: String,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct BuildEvent {
    build: BuildPart,
}

#[derive(Serialize)]
struct BuildPart {
    id: BuildId,
    result: &'static str,
    created_at: Timestamp,
    repo: String,
    commit: String,
    branch: String,
    version: String,
    message: String,
    author: String,
}

#[derive(Serialize)]
struct ConfigEvent<'a> {
    changes: &'a [ConfigVarChanged],
    config_vars: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct CrashEvent<'a> {
    key: String,
    code: &'static str,
    description: &'static str,
    restarts: u32,
    dynos: [DynoPart<'a>; 1],
    crashed_at: Timestamp,
}

#[derive(Serialize)]
struct DynoPart<'a> {
    r#type: &'a str,
    dyno: &'a str,
}

#[derive(Serialize)]
struct FeatureEvent {
    change: ChangeKind,
    changes: [FeatureChange; 1],
    feature: Option<Value>,
}

#[derive(Serialize)]
struct FeatureChange {
    r#type: ChangeKind,
    name: Feature,
    value: bool,
}

#[derive(Serialize)]
struct FormationEvent {
    change: ChangeKind,
    changes: [FormationPart; 1],
}

#[derive(Serialize)]
struct FormationPart {
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<String>,
    size: String,
    quantity: u8,
}

#[derive(Serialize)]
struct LogDrainEvent {
    change: ChangeKind,
    changes: [LogDrainPart; 1],
}

#[derive(Serialize)]
struct LogDrainPart {
    id: LogDrainId,
    url: String,
}

#[derive(Serialize)]
struct ReleaseEvent {
    release: ReleasePart,
    build: BuildPart,
}

#[derive(Serialize)]
struct ReleasePart {
    id: ReleaseId,
    result: &'static str,
    created_at: Timestamp,
    version: u32,
    description: String,
}

impl<'a> Scene<'a> {
    /// The app may just have been deleted.
    pub(super) fn load(
        tx: &'a Tx<'a>,
        sealer: &'a Sealer,
        catalogue: &'a Catalogue,
        app: AppId,
    ) -> Result<Self, StoreError> {
        let app = store::apps::find_any(tx, app)?.ok_or_else(|| gone("app", app))?;
        Ok(Self { tx, sealer, catalogue, app })
    }

    fn release(&self, id: ReleaseId) -> Result<Release, StoreError> {
        store::releases::find_any(self.tx, id)?.ok_or_else(|| gone("release", id))
    }

    fn build(&self, id: BuildId) -> Result<Build, StoreError> {
        store::builds::find(self.tx, self.sealer, id)?.ok_or_else(|| gone("build", id))
    }

    fn payload<D: Serialize>(&self, action: HookEvent, details: D) -> Result<Payload, StoreError> {
        let app = &self.app;
        let state = (action == HookEvent::Updated).then(|| AppState {
            description: app.description.clone(),
            labels: app.labels.clone(),
            maintenance: app.maintenance,
        });
        let envelope = Envelope {
            action,
            app: AppPart { name: app.name.to_string(), id: app.id, state },
            space: Named { name: app.space.name.to_string() },
            details,
        };
        let json =
            serde_json::to_string(&envelope).map_err(|error| StoreError::Content(error.to_string()))?;
        Ok(Payload::new(json))
    }

    /// The user's own config vars, as an answer would show them.
    fn config_vars(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let socs = self.app.space.compliance.is_socs();
        let vars = store::config_vars::list(self.tx, self.sealer, self.app.id)?;
        let show = |name: &str, value: &str| if socs { redacted(name, value) } else { value.to_owned() };
        Ok(vars.iter().map(|(name, value)| (name.to_string(), show(name.as_str(), value.reveal()))).collect())
    }

    fn release_event(&self, id: ReleaseId, failed: bool) -> Result<ReleaseEvent, StoreError> {
        let release = self.release(id)?;
        let build = self.build(release.slug)?;
        let release = ReleasePart {
            id: release.id,
            result: if failed { "failed" } else { "succeeded" },
            created_at: release.created_at,
            version: release.version,
            description: release.description,
        };
        Ok(ReleaseEvent { release, build: build.into() })
    }

    /// The process types that a release brought up: those with dynos, or `web` when none has any.
    fn released_types(&self) -> Result<Vec<ProcessType>, StoreError> {
        let formations = store::formations::list(self.tx, self.app.id)?;
        let up = formations.into_iter().filter(|formation| formation.quantity.get() > 0);
        let types: Vec<ProcessType> = up.map(|formation| formation.process_type).collect();
        Ok(if types.is_empty() { vec![ProcessType::web()] } else { types })
    }

    fn released(&self, id: ReleaseId, process_type: &ProcessType) -> Result<Value, StoreError> {
        let release = self.release(id)?;
        let build = self.build(release.slug)?;
        let image = store::apps::current_image(self.tx, self.app.id)?;
        Ok(json!({
            "key": self.app.key().as_str(),
            "dyno": { "type": process_type.as_str() },
            "release": {
                "id": release.id,
                "created_at": release.created_at,
                "updated_at": release.updated_at,
                "version": release.version,
            },
            "build": { "id": build.id },
            "slug": {
                "image": image.map(|image| image.to_string()).unwrap_or_default(),
                "id": build.id,
                "source_blob": {
                    "checksum": build.checksum.as_str(),
                    "url": build.source.shown_url(),
                    "version": build.commit.version,
                    "commit": build.commit.sha,
                    "author": build.commit.author,
                    "repo": build.commit.repo,
                    "branch": build.commit.branch,
                    "message": build.commit.message,
                },
            },
            "released_at": self.tx.now(),
        }))
    }

    fn promoted(&self, id: ReleaseId, source: ReleaseId) -> Result<Value, StoreError> {
        let release = self.release(id)?;
        let source = self.release(source)?;
        let from =
            store::apps::find_any(self.tx, source.app_id)?.ok_or_else(|| gone("app", source.app_id))?;
        Ok(json!({
            "promoted_from": {
                "app": { "name": from.name.as_str(), "id": from.id },
                "space": { "name": from.space.name.as_str() },
            },
            "build": { "id": release.slug },
            "release": {
                "id": release.id,
                "status": release.state.status(),
                "version": release.version,
                "description": release.description,
            },
        }))
    }

    fn feature(&self, feature: Feature, enabled: bool) -> FeatureEvent {
        let offered = self.catalogue.features.iter().find(|offered| offered.feature == feature);
        let shown = offered.map(|offered| {
            json!({
                "description": offered.description,
                "doc_url": format!("/features/{feature}"),
                "id": offered.id,
                "state": offered.state,
                "name": feature,
                "display_name": offered.display_name,
                "feedback_email": offered.feedback_email,
                "enabled": enabled,
            })
        });
        let changes = [FeatureChange { r#type: ChangeKind::Update, name: feature, value: enabled }];
        FeatureEvent { change: ChangeKind::Update, changes, feature: shown }
    }

    fn formation(&self, id: FormationId, change: ChangeKind) -> Result<FormationEvent, StoreError> {
        let formation = store::formations::find_any(self.tx, id)?.ok_or_else(|| gone("formation", id))?;
        Ok(FormationEvent { change, changes: [formation.into()] })
    }

    fn log_drain(&self, id: LogDrainId, change: ChangeKind) -> Result<LogDrainEvent, StoreError> {
        let found = store::log_drains::find(self.tx, self.sealer, id)?;
        let drain = found.ok_or_else(|| gone("log drain", id))?;
        Ok(LogDrainEvent { change, changes: [LogDrainPart { id, url: drain.url.shown() }] })
    }
}

/// The payloads of one event: one, or for `released` one for each process type (`behaviour.md` §9).
pub(super) fn build(scene: &Scene<'_>, subject: Subject<'_>) -> Result<Vec<Payload>, StoreError> {
    let event = subject.hook_event();
    let payload = match subject {
        Subject::Addon { addon, change } => {
            scene.payload(event, addon::owned(scene.tx, (scene.sealer, &scene.app), addon, change)?)?
        }
        Subject::AddonAttachment { attachment, change } => {
            scene.payload(event, addon::used(scene.tx, (scene.sealer, &scene.app), attachment, change)?)?
        }
        Subject::Updated | Subject::Destroyed => scene.payload(event, Nothing {})?,
        Subject::Build(id) => scene.payload(event, BuildEvent { build: scene.build(id)?.into() })?,
        Subject::ConfigVars(changes) => {
            scene.payload(event, ConfigEvent { changes, config_vars: scene.config_vars()? })?
        }
        Subject::Crash { process_type, dyno, code, restarts } => {
            let details = CrashEvent {
                key: scene.app.key().to_string(),
                code: code.as_str(),
                description: code.description(),
                restarts,
                dynos: [DynoPart { r#type: process_type.as_str(), dyno: dyno.as_str() }],
                crashed_at: scene.tx.now(),
            };
            scene.payload(event, details)?
        }
        Subject::Feature { feature, enabled } => scene.payload(event, scene.feature(feature, enabled))?,
        Subject::Formation { formation, change } => {
            scene.payload(event, scene.formation(formation, change)?)?
        }
        Subject::LogDrain { drain, change } => scene.payload(event, scene.log_drain(drain, change)?)?,
        Subject::Preview(preview) => scene.payload(event, scene.preview(preview)?)?,
        Subject::PreviewReleased { preview, release } => {
            scene.payload(event, scene.preview_released(preview, release)?)?
        }
        Subject::Promotion { release, source } => scene.payload(event, scene.promoted(release, source)?)?,
        Subject::Release { release, failed } => {
            scene.payload(event, scene.release_event(release, failed)?)?
        }
        Subject::Released(release) => {
            let one = |process_type| scene.payload(event, scene.released(release, &process_type)?);
            return scene.released_types()?.into_iter().map(one).collect();
        }
    };
    Ok(vec![payload])
}

impl From<Build> for BuildPart {
    fn from(build: Build) -> Self {
        let commit = build.commit;
        Self {
            id: build.id,
            result: build.state.status().as_str(),
            created_at: build.created_at,
            repo: commit.repo,
            commit: commit.sha,
            branch: commit.branch,
            version: commit.version,
            message: commit.message,
            author: commit.author,
        }
    }
}

impl From<Formation> for FormationPart {
    fn from(formation: Formation) -> Self {
        Self {
            r#type: formation.process_type.to_string(),
            port: formation.port.map(Port::get),
            command: formation.command.command().map(|command| command.as_str().to_owned()),
            healthcheck: formation.healthcheck.map(|path| path.as_str().to_owned()),
            size: formation.size.to_string(),
            quantity: formation.quantity.get(),
        }
    }
}

/// An event named what is not there: a fault of ours, which rolls the change back.
fn gone(noun: &str, id: impl std::fmt::Display) -> StoreError {
    StoreError::Content(format!("an event names the {noun} {id}, which does not exist"))
}
