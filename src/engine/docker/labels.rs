//! How things in the engine are told to be ours: by labels, never by name.

use std::collections::HashMap;

use crate::engine::ContainerSpec;
use crate::engine::instance::{InstanceSpec, InstanceVolume};
use crate::model::build::own_repositories;
use crate::model::ids::{AppId, BuildId, InstallationId, SpaceId};

pub(super) const INSTALLATION: &str = "akkeris.installation";
pub(super) const APP: &str = "akkeris.app";
pub(super) const KEY: &str = "akkeris.key";
pub(super) const TYPE: &str = "akkeris.type";
pub(super) const DYNO: &str = "akkeris.dyno";
pub(super) const RELEASE: &str = "akkeris.release";
pub(super) const SPEC: &str = "akkeris.spec";
pub(super) const SPACE: &str = "akkeris.space";
/// Only on a container that somebody attaches to.
pub(super) const TERMINAL: &str = "akkeris.terminal";
pub(super) const BUILD: &str = "akkeris.build";
pub(super) const ADDON: &str = "akkeris.addon";
/// What an addon's container is for.
pub(super) const ROLE: &str = "akkeris.role";
/// Which of the volumes that an addon has had one after the other.
pub(super) const GENERATION: &str = "akkeris.generation";

/// The labels of one installation.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    installation: InstallationId,
    text: String,
}

impl Labels {
    pub(super) fn new(installation: InstallationId) -> Self {
        Self { installation, text: installation.to_string() }
    }

    /// The first digits of the installation's id that tell it apart, for names that people read. A version 7
    /// id begins with the time, so its end is taken.
    pub(super) fn short(&self) -> &str {
        self.text.rsplit('-').next().unwrap_or(&self.text)
    }

    /// The repository of an app's images. Pulled images cannot be labelled, so the name says whose they are.
    pub(super) fn repository(&self, app: AppId) -> String {
        format!("{}{app}", self.repository_prefix())
    }

    pub(super) fn repository_prefix(&self) -> String {
        own_repositories(self.installation)
    }

    /// The label of every image that is built here, as it stands in a Dockerfile and in a filter.
    pub(super) fn image_label(&self) -> String {
        format!("{INSTALLATION}={}", self.text)
    }

    /// The filter of every list: this installation's things, of one app or of all.
    pub(super) fn filter(&self, app: Option<AppId>) -> HashMap<String, Vec<String>> {
        let mut labels = vec![self.image_label()];
        labels.extend(app.map(|app| format!("{APP}={app}")));
        HashMap::from([("label".to_owned(), labels)])
    }

    pub(super) fn of_container(&self, spec: &ContainerSpec) -> HashMap<String, String> {
        let mut labels = HashMap::from([
            (INSTALLATION.to_owned(), self.text.clone()),
            (APP.to_owned(), spec.app.to_string()),
            (KEY.to_owned(), spec.key.to_string()),
            (SPACE.to_owned(), spec.space.to_string()),
            (TYPE.to_owned(), spec.process_type.to_string()),
            (DYNO.to_owned(), spec.dyno.to_string()),
            (RELEASE.to_owned(), spec.release.to_string()),
            (SPEC.to_owned(), spec.fingerprint.clone()),
        ]);
        if spec.terminal.is_attached() {
            labels.insert(TERMINAL.to_owned(), spec.terminal.to_string());
        }
        labels
    }

    /// The filter of the containers or volumes of addons.
    pub(super) fn addon_filter(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![self.image_label(), ADDON.to_owned()])])
    }

    /// The installation's part and more, for names that people read.
    pub(super) fn name(&self, rest: &str) -> String {
        format!("akkeris-{}-{rest}", self.short())
    }

    pub(super) fn of_instance(&self, spec: &InstanceSpec) -> HashMap<String, String> {
        HashMap::from([
            (INSTALLATION.to_owned(), self.text.clone()),
            (ADDON.to_owned(), spec.addon.to_string()),
            (ROLE.to_owned(), spec.role.to_string()),
            (SPEC.to_owned(), spec.fingerprint.clone()),
        ])
    }

    pub(super) fn of_volume(&self, volume: InstanceVolume) -> HashMap<String, String> {
        HashMap::from([
            (INSTALLATION.to_owned(), self.text.clone()),
            (ADDON.to_owned(), volume.addon.to_string()),
            (ROLE.to_owned(), volume.role.to_string()),
            (GENERATION.to_owned(), volume.generation.to_string()),
        ])
    }

    pub(super) fn of_image(&self, app: AppId, build: BuildId) -> HashMap<String, String> {
        HashMap::from([
            (INSTALLATION.to_owned(), self.text.clone()),
            (APP.to_owned(), app.to_string()),
            (BUILD.to_owned(), build.to_string()),
        ])
    }

    pub(super) fn of_network(&self, space: SpaceId) -> HashMap<String, String> {
        HashMap::from([(INSTALLATION.to_owned(), self.text.clone()), (SPACE.to_owned(), space.to_string())])
    }
}
