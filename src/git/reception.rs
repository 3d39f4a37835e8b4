//! Where pushes that have arrived ask to be let in.
//!
//! Invariant: each connection shows a key that was given to one push; without one nothing is done for it.

use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use super::change::{self, Verdict};
use super::message::Asked;
use super::teller::{Gone, Teller};
use super::{Git, GitError, Push, deploy, lock};
use crate::{service, store};

/// Pause after a failed accept, which mostly means that file descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a push is not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// A sentence for the one who pushes.
    #[error("{0}")]
    Rule(String),
    #[error(transparent)]
    Service(#[from] service::Error),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("nobody waits for the answer any more")]
    Gone,
}

/// Answers the hooks of pushes until the daemon stops.
pub(super) async fn serve(git: Git, listener: UnixListener) {
    let closed = git.0.closed.clone();
    let stopping = git.0.parts.tasks.stopping();
    loop {
        let accepted = tokio::select! {
            () = closed.cancelled() => return,
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => git.0.parts.tasks.spawn("git-push", receive(git.clone(), stream)),
            Err(error) => {
                tracing::warn!(%error, "cannot hear a push");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn receive(git: Git, stream: UnixStream) {
    let mut teller = Teller::new(stream);
    let Ok(asked) = teller.asked().await else { return };
    let Some(push) = lock(&git.0.pushes).remove(&asked.key) else {
        tracing::warn!("a push without a valid key was refused");
        return teller.end(false).await;
    };
    let decided = tokio::select! {
        decided = decide(&git, &push, asked, &mut teller) => decided,
        () = git.0.closed.cancelled() => Err(Refusal::Rule(
            "The daemon stops. What is being built goes on when it is back; push again then.".to_owned(),
        )),
    };
    let told = match decided {
        Ok(()) => return teller.end(true).await,
        Err(Refusal::Gone) => return,
        Err(refusal) => teller.line(format!(" !     {}", shown(&refusal))).await,
    };
    if told.is_ok() {
        teller.end(false).await;
    }
}

async fn decide(git: &Git, push: &Push, asked: Asked, teller: &mut Teller) -> Result<(), Refusal> {
    let unreadable = || Refusal::Rule("The push cannot be read.".to_owned());
    let changes = change::parse(&asked.changes).ok_or_else(unreadable)?;
    let repository = git.repository(push.app.id);
    let repository = repository.with_quarantine(asked.quarantine).await.map_err(GitError::from)?;
    let repository = repository.ok_or_else(unreadable)?;
    let (size, most) =
        (repository.size().await.map_err(GitError::from)?, git.0.parts.settings.max_repository);
    if size > most {
        return Err(Refusal::Rule(format!(
            "The repository would hold {size} bytes; at most {most} are kept (git.max_repository_bytes). Push without large files, or a shallower history."
        )));
    }
    let branches = repository.branches().await?;
    match change::judge(&changes, &branches, configured_branch(git, push).await?.as_deref()) {
        Verdict::Refuse { why } => Err(Refusal::Rule(why)),
        Verdict::Keep { note } => Ok(teller.line(note).await?),
        Verdict::Deploy { branch, commit } => {
            deploy::run((git, push), &repository, (&branch, &commit), teller).await?;
            if !branches.contains(&branch) {
                repository.set_default_branch(&branch).await?;
            }
            Ok(())
        }
    }
}

/// The branch that the app's auto build follows; a push deploys the same.
async fn configured_branch(git: &Git, push: &Push) -> Result<Option<String>, service::Error> {
    let app = push.app.id;
    let followed = git.0.parts.store.read(move |c| store::auto_builds::followed_by(c, app)).await?;
    Ok(followed.map(|(_, branch)| branch.as_str().to_owned()))
}

impl From<Gone> for Refusal {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

/// What the one who pushes reads; causes go to the log.
fn shown(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Git(error) => {
            tracing::warn!(error = error as &dyn std::error::Error, "a push was not let in");
            "The push could not be looked at; the daemon's log tells why.".to_owned()
        }
        Refusal::Service(service::Error::Internal(cause)) => {
            tracing::error!(%cause, "a push was not let in");
            "The daemon could not do this because of an internal fault; its log tells more.".to_owned()
        }
        Refusal::Rule(_) | Refusal::Service(_) | Refusal::Gone => refusal.to_string(),
    }
}
