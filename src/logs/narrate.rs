//! Platform events in the logs of their apps: releases, builds, scaling, restarts, crashes.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::frame::NewFrame;
use super::rings::Rings;
use crate::clock::Clock;
use crate::model::event::{ChangeKind, ConfigVarChanged, Event};
use crate::model::ids::{AddonId, AppId};
use crate::model::log::{LogLine, LogOwner, LogSource};
use crate::model::names::ProcessType;
use crate::store::{self, Store, StoreError};
use crate::tasks::Tasks;

/// Writes a line for each event of an app that its people want to know of, and removes the logs of deleted apps.
#[derive(Debug, Clone)]
pub struct Narrator {
    pub store: Store,
    pub rings: Rings,
    pub clock: Clock,
}

impl Narrator {
    /// Starts the task. Events of before are not told.
    pub fn start(self, tasks: &Tasks) {
        let (events, stop) = (self.store.subscribe(), tasks.stopping());
        tasks.spawn("logs-events", async move {
            self.sweep().await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.follow(events) => {}
            }
        });
    }

    async fn follow(&self, mut events: Receiver<Arc<Event>>) {
        loop {
            match store::events::next_all(&mut events).await {
                Ok(events) => self.tell(&events).await,
                Err(RecvError::Lagged(count)) => {
                    tracing::warn!(count, "events came too fast to be told in the logs");
                    self.sweep().await;
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Removes the logs whose owners went while nobody listened.
    async fn sweep(&self) {
        let live = |c: &store::Connection| {
            let apps = store::apps::list(c)?.into_iter().map(|app| LogOwner::App(app.id));
            let drained = store::log_drains::list_owners(c)?.into_iter().map(|(_, owner)| owner);
            Ok::<_, StoreError>(apps.chain(drained).collect())
        };
        let swept = match self.store.read(live).await {
            Ok(live) => self.rings.sweep(live).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = swept {
            tracing::warn!(error, "logs without owners may be left");
        }
    }

    async fn tell(&self, events: &[Arc<Event>]) {
        let mut lines: HashMap<LogOwner, Vec<LogLine>> = HashMap::new();
        for event in events {
            let Some(app) = event.app() else { continue };
            if matches!(**event, Event::AppDeleted { .. }) {
                if let Err(error) = self.rings.remove(app).await {
                    tracing::error!(%app, %error, "the log of a deleted app is left");
                }
            } else if let Some(text) = self.text(app, event).await {
                let line = LogLine::new(self.clock.now(), LogSource::Controller, text);
                lines.entry(LogOwner::App(app)).or_default().push(line);
            }
        }
        if lines.is_empty() {
            return;
        }
        let frame = |lines: Vec<LogLine>| NewFrame::of(&lines, None);
        for (owner, error) in self.rings.append_all(lines.into_iter().collect(), frame).await {
            tracing::error!(?owner, %error, "events could not be told in a log");
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most facts are none of an app's log")]
    #[expect(clippy::too_many_lines, reason = "a line or two an event")]
    async fn text(&self, app: AppId, event: &Event) -> Option<String> {
        match event {
            Event::AutoBuildFailed { sha, reason, .. } => {
                let short: String = sha.chars().take(7).collect();
                Some(format!("Auto build of {short} failed: {reason}"))
            }
            Event::AppSetupSucceeded { .. } => Some("App setup succeeded".to_owned()),
            Event::AppSetupFailed { .. } => Some("App setup failed".to_owned()),
            Event::BuildStarted { .. } => Some("Build started".to_owned()),
            Event::BuildSucceeded { .. } => Some("Build succeeded".to_owned()),
            Event::BuildFailed { .. } => Some("Build failed".to_owned()),
            Event::BuildStopped { .. } => Some("Build stopped".to_owned()),
            Event::ConfigVarsChanged { changes, .. } => Some(config_change(changes)),
            Event::DynoCrashed { process_type, dyno, code, restarts, .. } => Some(format!(
                "Error {} ({}): {process_type}.{dyno} ended by itself and is started again, restarts={restarts}",
                code.as_str(),
                code.description()
            )),
            Event::DynoSignalled { process_type, dyno, signal, .. } => {
                Some(format!("Sending signal {} to {process_type}.{dyno}", signal.number()))
            }
            Event::DynosRestarted { process_type, dyno, .. } => Some(match (process_type, dyno) {
                (Some(process_type), Some(dyno)) => format!("Restarting {process_type}.{dyno}"),
                (None, Some(dyno)) => format!("Restarting {dyno}"),
                (Some(process_type), None) => format!("Restarting all dynos of {process_type}"),
                (None, None) => "Restarting all dynos".to_owned(),
            }),
            Event::OneOffCreated { process_type, dyno, .. } => {
                Some(format!("Starting {process_type}.{dyno}"))
            }
            Event::OneOffStopped { process_type, dyno, .. } => {
                Some(format!("Stopping {process_type}.{dyno}"))
            }
            Event::OneOffEnded { process_type, dyno, ended, .. } => {
                Some(format!("{process_type}.{dyno} {}", ended.text()))
            }
            Event::ScheduleSkipped { process_type, due_at, reason, .. } => Some(format!(
                "The run of {process_type} that was due at {} was left out: {}",
                due_at.to_seconds_text(),
                reason.text()
            )),
            Event::FeatureChanged { feature, enabled, .. } => {
                Some(format!("Feature {feature} {}", if *enabled { "enabled" } else { "disabled" }))
            }
            Event::FilterAttached { .. } => Some("Filter attached".to_owned()),
            Event::FilterAttachmentUpdated { .. } => Some("Filter attachment updated".to_owned()),
            Event::FilterDetached { .. } => Some("Filter detached".to_owned()),
            Event::FormationCreated { process_type, .. } | Event::FormationUpdated { process_type, .. } => {
                Some(self.scale(app, process_type).await)
            }
            Event::FormationDeleted { process_type, .. } => Some(format!("Removed {process_type}")),
            Event::LogDrainCreated { .. } => Some("Log drain added".to_owned()),
            Event::LogDrainDeleted { .. } => Some("Log drain removed".to_owned()),
            Event::PreviewCreated { .. } | Event::PreviewDeleted { .. } | Event::PreviewRefused { .. } => {
                self.preview(event).await
            }
            Event::ReleaseCreated { version, .. } => Some(format!("Release v{version} created")),
            Event::ReleaseSucceeded { version, .. } => Some(format!("Release v{version} succeeded")),
            Event::ReleaseFailed { version, reason, .. } => {
                let reason = reason.lines().next().unwrap_or_default();
                Some(format!("Release v{version} failed: {reason}"))
            }
            _ => self.addon_text(event).await,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are not about addons")]
    async fn addon_text(&self, event: &Event) -> Option<String> {
        match event {
            Event::AddonProvisioned { addon, .. } => Some(self.addon("ready", *addon).await),
            Event::AddonFailed { addon, reason, .. } => {
                Some(format!("{}: {reason}", self.addon("not made", *addon).await))
            }
            Event::AddonPlanChanged { addon, .. } => Some(self.addon("on another plan", *addon).await),
            Event::AddonDeleted { addon, .. } => Some(self.addon("deleted", *addon).await),
            Event::AddonAttached { addon, .. } => Some(self.addon("attached", *addon).await),
            Event::AddonDetached { addon, .. } => Some(self.addon("detached", *addon).await),
            Event::AddonPromoted { addon, .. } => Some(self.addon("promoted", *addon).await),
            Event::AddonVolumeNearlyFull { addon, percent, .. } => {
                let what = format!("uses {percent} % of the data that its plan allows");
                Some(self.addon(&what, *addon).await)
            }
            _ => None,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "it is asked for these alone")]
    async fn preview(&self, event: &Event) -> Option<String> {
        match event {
            Event::PreviewCreated { preview_app, .. } => {
                Some(format!("Preview app {} created", self.key(*preview_app).await))
            }
            Event::PreviewDeleted { preview_app, .. } => {
                Some(format!("Preview app {} removed", self.key(*preview_app).await))
            }
            Event::PreviewRefused { branch, reason, .. } => {
                Some(format!("No preview app of the branch {branch} was made: {reason}"))
            }
            _ => None,
        }
    }

    /// The key of an app, also of a deleted one.
    async fn key(&self, app: AppId) -> String {
        match self.store.read(move |c| store::apps::find_any(c, app)).await {
            Ok(Some(app)) => app.key().to_string(),
            Ok(None) | Err(_) => app.to_string(),
        }
    }

    async fn addon(&self, what: &str, id: AddonId) -> String {
        let found = self.store.read(move |c| store::addons::find_any(c, id)).await;
        match found {
            Ok(Some(addon)) => format!("Addon {} ({}) {what}", addon.name, addon.plan.name),
            Ok(None) | Err(_) => format!("Addon {what}"),
        }
    }

    async fn scale(&self, app: AppId, process_type: &ProcessType) -> String {
        let found = process_type.clone();
        let formation = self.store.read(move |c| store::formations::find(c, app, &found)).await;
        match formation {
            Ok(Some(formation)) => {
                format!("Scaled to {process_type}@{}:{}", formation.quantity.get(), formation.size)
            }
            Ok(None) | Err(_) => format!("Scaled {process_type}"),
        }
    }
}

/// Names only; values are secret.
fn config_change(changes: &[ConfigVarChanged]) -> String {
    let named = |wanted: &[ChangeKind]| {
        let names: Vec<&str> = changes
            .iter()
            .filter(|change| wanted.contains(&change.change))
            .map(|change| change.name.as_str())
            .collect();
        names.join(", ")
    };
    let (set, removed) = (named(&[ChangeKind::Create, ChangeKind::Update]), named(&[ChangeKind::Delete]));
    match (set.as_str(), removed.as_str()) {
        (set, "") => format!("Set config vars {set}"),
        ("", removed) => format!("Removed config vars {removed}"),
        (set, removed) => format!("Set config vars {set}; removed {removed}"),
    }
}
