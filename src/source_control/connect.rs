//! Connecting an app with a repository, and parting them again.

use super::client::{ForgeError, RepositoryClient};
use super::forge::HookSpec;
use super::{SourceControl, callback_url, removals};
use crate::ids::random_secret;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::auto_build::{
    AutoBuild, RunTrigger, SourceDelivery, SourceProvider, SourceSecret, check_username,
};
use crate::model::ids::AutoBuildId;
use crate::model::principal::Principal;
use crate::model::repository_url::{BranchName, RepositoryUrl};
use crate::service::auto_builds::{self, NewRun};
use crate::service::{Error, builds};
use crate::store;

/// An auto build to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewAutoBuild {
    pub repo: String,
    pub branch: String,
    /// With the token; the daemon's own account at the server when both are absent.
    pub username: Option<String>,
    pub token: Option<String>,
    pub status_check: bool,
    pub auto_deploy: bool,
}

/// What was asked for, checked.
struct Checked {
    client: RepositoryClient,
    provider: SourceProvider,
    repo: RepositoryUrl,
    branch: BranchName,
    username: String,
    token: SourceSecret,
}

impl SourceControl {
    /// Gives an app its auto build in the place of the one that it has: registers the webhook, and queues the first
    /// build. `origin` is where the provider finds this API. Takes as long as the provider does to answer up to four
    /// calls.
    pub async fn connect(
        &self,
        author: &Principal,
        (app, origin): (&App, &str),
        new: NewAutoBuild,
    ) -> Result<(), Error> {
        builds::may_build(author, app)?;
        let checked = self.check(&new)?;
        let tip = checked.client.tip(checked.branch.as_str()).await.map_err(|error| refused(&error))?;
        let old = self.find(app).await?;
        let secret = SourceSecret::from_stored(random_secret());
        let url = callback_url(origin, app, checked.provider);
        let spec = HookSpec { url: &url, secret: &secret, checks: new.status_check };
        let same = old.as_ref().filter(|old| old.repo == checked.repo);
        let hook = register(&checked.client, same, &spec).await.map_err(|error| refused(&error))?;
        let now = self.parts.clock.now();
        let one = AutoBuild {
            id: AutoBuildId::new(self.parts.ids.next()),
            app_id: app.id,
            provider: checked.provider,
            repo: checked.repo,
            branch: checked.branch,
            username: checked.username,
            token: checked.token,
            delivery: SourceDelivery::Hook { id: hook.clone(), secret: secret.clone() },
            status_check: new.status_check,
            auto_deploy: new.auto_deploy,
            origin: origin.to_owned(),
            created_by: author.user.clone(),
            created_at: now,
            updated_at: now,
        };
        let place = (&self.parts.sealer, &self.parts.ids);
        let replaced = auto_builds::replace(&self.parts.store, place, author, one, tip).await;
        if replaced.is_err() {
            undo(&checked.client, old.as_ref(), (&url, &hook)).await;
        }
        replaced?;
        removals::carry_out(&self.parts).await?;
        Ok(())
    }

    /// Takes an app's auto build away, and its webhook as soon as the provider lets it.
    pub async fn disconnect(&self, author: &Principal, app: &App) -> Result<(), Error> {
        auto_builds::remove(&self.parts.store, author, app).await?;
        removals::carry_out(&self.parts).await?;
        Ok(())
    }

    /// Builds the tip of the branch that an app follows.
    pub async fn trigger(&self, author: &Principal, app: &App) -> Result<(), Error> {
        builds::may_build(author, app)?;
        let (sealer, found) = (self.parts.sealer.clone(), app.clone());
        let auto_build = self.parts.store.read(move |c| auto_builds::find(c, &sealer, &found)).await?;
        let client =
            self.parts.repository(&auto_build).map_err(|error| Error::BadRequest(error.to_string()))?;
        let tip = client.tip(auto_build.branch.as_str()).await.map_err(|error| refused(&error))?;
        let new = NewRun {
            trigger: RunTrigger::Manual,
            branch: auto_build.branch,
            sha: tip.sha.clone(),
            commit: Some(tip),
        };
        let place = (&self.parts.sealer, &self.parts.ids);
        auto_builds::start(&self.parts.store, place, author, app, new).await?;
        Ok(())
    }

    fn check(&self, new: &NewAutoBuild) -> Result<Checked, RuleError> {
        let repo = RepositoryUrl::parse(&new.repo)?;
        let (server, path) = self.parts.servers.of(&repo)?;
        let branch = BranchName::parse(&new.branch)?;
        let (username, token) = match (&new.username, &new.token, &server.account) {
            (None, None, Some(account)) => (account.username.clone(), account.token.clone()),
            (username, token, _) => (
                check_username(username.as_deref().unwrap_or_default())?,
                SourceSecret::parse(token.as_deref().unwrap_or_default())?,
            ),
        };
        let client = RepositoryClient::new(&self.parts.outbound, (server, path), token.clone());
        Ok(Checked { client, provider: server.provider, repo: repo.clone(), branch, username, token })
    }

    async fn find(&self, app: &App) -> Result<Option<AutoBuild>, Error> {
        let (sealer, id) = (self.parts.sealer.clone(), app.id);
        Ok(self.parts.store.read(move |c| store::auto_builds::find_by_app(c, &sealer, id)).await?)
    }
}

/// Takes over the webhook that the app has at the repository, or makes one.
async fn register(
    client: &RepositoryClient,
    old: Option<&AutoBuild>,
    spec: &HookSpec<'_>,
) -> Result<String, ForgeError> {
    if let Some(SourceDelivery::Hook { id, .. }) = old.map(|old| &old.delivery)
        && client.update_hook(id, spec).await?
    {
        return Ok(id.clone());
    }
    client.create_hook(spec).await
}

/// Puts the webhook back as it was. What fails here is put right by the next attempt to connect.
async fn undo(client: &RepositoryClient, old: Option<&AutoBuild>, (url, hook): (&str, &str)) {
    let undone = match old.map(|old| (&old.delivery, old.status_check)) {
        Some((SourceDelivery::Hook { id, secret }, checks)) if id == hook => {
            client.update_hook(id, &HookSpec { url, secret, checks }).await.map(drop)
        }
        Some(_) | None => client.delete_hook(hook).await,
    };
    if let Err(error) = undone {
        tracing::warn!(%error, "a webhook was not put back");
    }
}

fn refused(error: &ForgeError) -> Error {
    match error {
        ForgeError::HookExists { .. } => {
            Error::Conflict(format!("{error}: remove it in the settings of the repository, then try again."))
        }
        ForgeError::Refused { .. } => Error::BadRequest(format!(
            "{error}. Look whether the repository and the branch exist, and whether the token may read the repository and manage its webhooks."
        )),
        ForgeError::Unreachable { .. } | ForgeError::Unreadable { .. } => {
            Error::BadRequest(format!("{error}; nothing was changed. Try again in a moment."))
        }
    }
}
