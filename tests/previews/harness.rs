//! An app that wants previews, and pull requests for it.

use akkerisd::model::ids::AppId;
use akkerisd::model::preview::PreviewTrigger;
use akkerisd::model::pull_request::{PullRequest, PullRequestChange, PullRequestHead};
use akkerisd::model::repository_url::{BranchName, RepositoryUrl};
use akkerisd::service::previews::{self, Followed, Outcome};
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon};

pub(super) const APP: &str = "/apps/shop-default";

/// The app `shop` in the space `default`, built from the branch `main` of `org/shop`.
pub(super) struct Source {
    pub(super) daemon: TestDaemon,
    pub(super) client: Client,
    pub(super) followed: Followed,
}

impl Source {
    /// With these features.
    pub(super) async fn with(features: &[&str]) -> Self {
        Self::on(TestDaemon::start().await, features).await
    }

    pub(super) async fn on(daemon: TestDaemon, features: &[&str]) -> Self {
        let client = daemon.admin();
        let new = json!({ "name": "shop", "space": "default", "org": "akkeris" });
        let app = client.post("/apps", new).await.json(201);
        let app: AppId = app.get("id").and_then(Value::as_str).unwrap().parse().unwrap();
        let followed = Followed {
            app,
            trigger: PreviewTrigger::GitHub,
            repository: RepositoryUrl::parse("https://github.com/org/shop").unwrap(),
            branch: BranchName::parse("main").unwrap(),
        };
        let source = Self { daemon, client, followed };
        for feature in features {
            source.switch(feature, true).await;
        }
        source
    }

    pub(super) async fn switch(&self, feature: &str, enabled: bool) {
        let path = format!("{APP}/features/{feature}");
        self.client.patch(&path, json!({ "enabled": enabled })).await.json(200);
    }

    pub(super) async fn tell(&self, request: &PullRequest) -> Outcome {
        let state = &self.daemon.state;
        let shop = state.addons.shop();
        let made_of = (&state.sealer, &state.ids, &shop);
        previews::follow(&state.store, made_of, &self.followed, request).await.unwrap()
    }

    /// The pull request 12 of a branch is opened; gives the path of the app that was made.
    pub(super) async fn open(&self, branch: &str) -> String {
        match self.tell(&request(12, branch)).await {
            Outcome::Made(preview) => format!("/apps/{}", preview.app.id),
            other @ (Outcome::Kept(_) | Outcome::Removed(_) | Outcome::Refused(_) | Outcome::Ignored(_)) => {
                unreachable!("{other:?}")
            }
        }
    }

    pub(super) async fn list(&self) -> Vec<Value> {
        self.client.get(&format!("{APP}/previews")).await.json(200).as_array().unwrap().clone()
    }

    /// The keys of all apps.
    pub(super) async fn apps(&self) -> Vec<String> {
        let apps = self.client.get("/apps").await.json(200);
        let key = |app: &Value| app.get("key").and_then(Value::as_str).unwrap().to_owned();
        apps.as_array().unwrap().iter().map(key).collect()
    }
}

/// A pull request of a branch into `main`, just opened.
pub(super) fn request(number: u64, branch: &str) -> PullRequest {
    PullRequest {
        number,
        change: PullRequestChange::Opened,
        title: "Fix the shop".to_owned(),
        url: format!("https://github.com/org/shop/pull/{number}"),
        author: "alice".to_owned(),
        head: PullRequestHead {
            branch: BranchName::parse(branch).unwrap(),
            sha: "c0ffee".repeat(6),
            repository: Some(RepositoryUrl::parse("https://github.com/org/shop").unwrap()),
        },
        base: BranchName::parse("main").unwrap(),
    }
}

pub(super) fn changed(request: PullRequest, change: PullRequestChange) -> PullRequest {
    PullRequest { change, ..request }
}
