//! The build object (`behaviour.md` §7), which is also the slug object.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::model::app::App;
use crate::model::build::{Build, BuildState};
use crate::model::ids::deterministic;
use crate::model::release::Release;
use crate::model::time::Timestamp;

/// Makes build objects of one app.
pub(super) struct BuildViewer<'a> {
    app: &'a App,
    /// The app's releases, oldest first.
    releases: &'a [Release],
}

/// A build.
#[derive(Serialize, ToSchema)]
pub(super) struct BuildView {
    pub(super) id: Uuid,
    app: BuildAppView,
    /// Always `null`: sources are built by their Dockerfile.
    buildpacks: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    pub(super) output_stream_url: String,
    /// The newest release of the slug on this app.
    release: Option<BuildReleaseView>,
    slug: SlugView,
    source_blob: SourceBlobView,
    /// `queued`, `pending`, `succeeded` or `failed`.
    pub(super) status: &'static str,
    /// Why the build failed, `""` otherwise.
    failure_message: String,
    user: BuildUserView,
}

#[derive(Serialize, ToSchema)]
struct BuildAppView {
    id: Uuid,
    key: String,
}

#[derive(Serialize, ToSchema)]
struct BuildReleaseView {
    id: Uuid,
    version: u32,
}

#[derive(Serialize, ToSchema)]
struct SlugView {
    /// The build's id.
    id: Uuid,
    /// 1, 2, 3 … per app.
    number: u32,
}

#[derive(Serialize, ToSchema)]
struct SourceBlobView {
    checksum: String,
    /// Without userinfo; `""` for an uploaded source.
    url: String,
    version: String,
    commit: String,
    author: String,
    repo: String,
    branch: String,
    message: String,
}

#[derive(Serialize, ToSchema)]
struct BuildUserView {
    id: Uuid,
    email: &'static str,
}

impl<'a> BuildViewer<'a> {
    pub(super) fn new(app: &'a App, releases: &'a [Release]) -> Self {
        Self { app, releases }
    }

    pub(super) fn view(&self, build: &Build) -> BuildView {
        let key = self.app.key().to_string();
        let release = self.releases.iter().rev().find(|release| release.slug == build.id);
        let commit = &build.commit;
        BuildView {
            id: build.id.uuid(),
            output_stream_url: format!("/apps/{key}/builds/{}/result", build.id),
            app: BuildAppView { id: build.app_id.uuid(), key },
            buildpacks: None,
            created_at: build.created_at,
            updated_at: build.updated_at,
            release: release
                .map(|release| BuildReleaseView { id: release.id.uuid(), version: release.version }),
            slug: SlugView { id: build.id.uuid(), number: build.number },
            source_blob: SourceBlobView {
                checksum: build.checksum.as_str().to_owned(),
                url: build.source.shown_url(),
                version: commit.version.clone(),
                commit: commit.sha.clone(),
                author: commit.author.clone(),
                repo: commit.repo.clone(),
                branch: commit.branch.clone(),
                message: commit.message.clone(),
            },
            status: build.state.status().as_str(),
            failure_message: failure_message(&build.state),
            user: BuildUserView { id: deterministic(self.app.organization.name.as_str()), email: "" },
        }
    }
}

fn failure_message(state: &BuildState) -> String {
    match state {
        BuildState::Queued | BuildState::Running { .. } | BuildState::Succeeded { .. } => String::new(),
        BuildState::Failed { reason, .. } => reason.clone(),
        BuildState::Stopped { by, .. } => format!("The build was stopped by {by}."),
    }
}
