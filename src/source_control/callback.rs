//! What providers post: proven, parsed, and on disk before it is answered.

use http::HeaderMap;
use serde_json::Value;

use super::SourceControl;
use super::forge;
use super::signature::is_genuine;
use crate::model::auto_build::{AutoBuild, SourceDelivery, SourceProvider};
use crate::model::ids::AutoBuildId;
use crate::model::preview::PreviewTrigger;
use crate::model::principal::{Principal, Reach};
use crate::model::pull_request::PullRequest;
use crate::model::source_event::SourceEvent;
use crate::service::previews::{self, Followed, Outcome};
use crate::service::{Error, apps, auto_builds};
use crate::store;

/// A callback as it came; the body is the exact bytes that were signed.
#[derive(Debug)]
pub struct Delivered {
    /// As the path names them.
    pub app: String,
    pub provider: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What became of a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Pong,
    /// Nothing follows from it.
    Nothing,
    /// A sentence for the provider's list of deliveries.
    Accepted(String),
}

impl SourceControl {
    /// Takes a callback. What cannot be proven is forbidden, whatever is wrong with it (`behaviour.md` §12).
    pub async fn receive(&self, delivered: Delivered) -> Result<Received, Error> {
        let auto_build = self.addressee(&delivered)?;
        let (auto_build, headers, payload) =
            tokio::task::spawn_blocking(move || prove(auto_build, delivered))
                .await
                .map_err(Error::internal)??;
        let forge = forge::of(auto_build.provider);
        if forge.repository(&payload).as_ref() != Some(&auto_build.repo) {
            return Err(forbidden());
        }
        match forge
            .event(forge.event_name(&headers), &payload)
            .map_err(|error| Error::BadRequest(error.to_string()))?
        {
            SourceEvent::Ping => Ok(Received::Pong),
            SourceEvent::Other => Ok(Received::Nothing),
            SourceEvent::Push { branch, commit } => {
                let short: String = commit.sha.chars().take(7).collect();
                let place = (&self.parts.sealer, &self.parts.ids);
                let pushed = (branch, commit);
                Ok(match auto_builds::push(&self.parts.store, place, &auto_build, pushed).await? {
                    0 => Received::Nothing,
                    _ => Received::Accepted(format!("The commit {short} is going to be built.")),
                })
            }
            SourceEvent::PullRequest(request) => self.preview(&auto_build, &request).await,
            SourceEvent::ChecksChanged { sha } => {
                self.look_again(auto_build.id, sha).await?;
                Ok(Received::Nothing)
            }
        }
    }

    /// The auto build that a path means; only one with a webhook of its own is called back.
    fn addressee(&self, delivered: &Delivered) -> Result<AutoBuild, Error> {
        let found = self.parts.store.look_up(|c| {
            let app = apps::resolve(c, &Reach::Everything, &delivered.app)?;
            Ok::<_, Error>(store::auto_builds::find_by_app(c, &self.parts.sealer, app.id)?)
        });
        match found {
            Ok(Some(one)) if one.provider.as_str() == delivered.provider => Ok(one),
            Ok(_) | Err(Error::NotFound(_) | Error::Invalid(_)) => Err(forbidden()),
            Err(error) => Err(error),
        }
    }

    /// Makes or removes the preview of a pull request, before the answer.
    async fn preview(&self, auto_build: &AutoBuild, request: &PullRequest) -> Result<Received, Error> {
        let followed = Followed {
            app: auto_build.app_id,
            trigger: match auto_build.provider {
                SourceProvider::GitHub => PreviewTrigger::GitHub,
                SourceProvider::GitLab => PreviewTrigger::GitLab,
                SourceProvider::Gitea => PreviewTrigger::Gitea,
            },
            repository: auto_build.repo.clone(),
            branch: auto_build.branch.clone(),
        };
        let shop = self.parts.addons.shop();
        let place = (&self.parts.sealer, &self.parts.ids, &shop);
        Ok(match previews::follow(&self.parts.store, place, &followed, request).await? {
            Outcome::Made(preview) => Received::Accepted(format!(
                "The preview {}-{} is going to be built.",
                preview.app.name, preview.app.space
            )),
            Outcome::Removed(removed) => {
                Received::Accepted(format!("Previews that were removed: {}.", removed.len()))
            }
            Outcome::Refused(reason) => Received::Accepted(format!("There is no preview. {reason}")),
            Outcome::Kept(_) | Outcome::Ignored(_) => Received::Nothing,
        })
    }

    async fn look_again(&self, id: AutoBuildId, sha: String) -> Result<(), Error> {
        let changed = self
            .parts
            .store
            .write(&Principal::daemon(), move |tx| store::auto_build_runs::look_again(tx, id, &sha))
            .await?;
        if changed {
            self.wake.activate();
        }
        Ok(())
    }
}

/// Hashes and parses, which takes a while for the largest bodies.
fn prove(auto_build: AutoBuild, delivered: Delivered) -> Result<(AutoBuild, HeaderMap, Value), Error> {
    let SourceDelivery::Hook { secret, .. } = &auto_build.delivery else { return Err(forbidden()) };
    if !is_genuine(auto_build.provider, secret, &delivered.headers, &delivered.body) {
        return Err(forbidden());
    }
    let payload = serde_json::from_slice(&delivered.body).map_err(|_| {
        Error::BadRequest(
            "The payload is not JSON: set the webhook's content type to application/json.".to_owned(),
        )
    })?;
    Ok((auto_build, delivered.headers, payload))
}

fn forbidden() -> Error {
    Error::Forbidden(
        "The callback is refused: its signature or its repository is not that of the app's auto build."
            .to_owned(),
    )
}
