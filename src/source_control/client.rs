//! One repository at its provider: asks the API and reads its answers.

use std::time::Duration;

use serde_json::Value;

use super::forge::{self, Call, CommitReport, Forge, HookSpec, text};
use super::servers::SourceServer;
use crate::model::auto_build::{Checks, SourceCommit, SourceSecret};
use crate::model::build::ArchiveLogin;
use crate::model::rule::shown;
use crate::outbound::{Outbound, OutboundError, PostLimits};

/// What one call may take.
const LIMITS: PostLimits = PostLimits { total: Duration::from_secs(15), body: 4 * 1024 * 1024 };

/// A repository, and the token that opens it. Cheap to make; holds no connection of its own.
#[derive(Debug)]
pub(super) struct RepositoryClient {
    outbound: Outbound,
    forge: &'static dyn Forge,
    api: String,
    path: String,
    token: SourceSecret,
}

/// Why a provider did not do what it was asked for. No text holds a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForgeError {
    #[error("{provider} could not be asked: {cause}")]
    Unreachable { provider: &'static str, cause: OutboundError },
    #[error("{provider} answered {status}: {message}")]
    Refused { provider: &'static str, status: u16, message: String },
    #[error("{provider} has a webhook for this app already")]
    HookExists { provider: &'static str },
    #[error("{provider} answered what cannot be read")]
    Unreadable { provider: &'static str },
}

impl ForgeError {
    /// Whether the same may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unreadable { .. } => true,
            Self::Refused { status, message, .. } => {
                *status == 429 || *status >= 500 || message.to_ascii_lowercase().contains("rate limit")
            }
            Self::HookExists { .. } => false,
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

impl RepositoryClient {
    pub(super) fn new(
        outbound: &Outbound,
        (server, path): (&SourceServer, &str),
        token: SourceSecret,
    ) -> Self {
        Self {
            outbound: outbound.clone(),
            forge: forge::of(server.provider),
            api: server.api.clone(),
            path: path.to_owned(),
            token,
        }
    }

    /// The newest commit of a branch.
    pub(super) async fn tip(&self, branch: &str) -> Result<SourceCommit, ForgeError> {
        let answer = self.ask(self.forge.branch(&self.path, branch)).await?;
        self.forge.read_branch(&answer).ok_or_else(|| self.unreadable())
    }

    /// A commit by its full hash.
    pub(super) async fn commit(&self, sha: &str) -> Result<SourceCommit, ForgeError> {
        let answer = self.ask(self.forge.commit(&self.path, sha)).await?;
        self.forge.read_commit(&answer).ok_or_else(|| self.unreadable())
    }

    /// What checks the commit, all together.
    pub(super) async fn checks(&self, sha: &str) -> Result<Checks, ForgeError> {
        let mut found = Vec::new();
        for (index, call) in self.forge.checks(&self.path, sha).into_iter().enumerate() {
            match self.ask(call).await {
                Ok(answer) => found.extend(self.forge.read_checks(&answer)),
                // A server or token without this kind of checks has none of them.
                Err(ForgeError::Refused { status: 403 | 404, message, .. })
                    if index > 0 && !message.to_ascii_lowercase().contains("rate limit") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(forge::combined(&found))
    }

    /// Says something of a commit.
    pub(super) async fn report(&self, sha: &str, report: &CommitReport<'_>) -> Result<(), ForgeError> {
        self.ask(self.forge.report(&self.path, sha, report)).await.map(drop)
    }

    /// Makes a webhook and gives its id.
    pub(super) async fn create_hook(&self, hook: &HookSpec<'_>) -> Result<String, ForgeError> {
        if let Some(list) = self.forge.list_hooks(&self.path) {
            let hooks = self.ask(list).await?;
            let mut urls = hooks.as_array().into_iter().flatten().map(|one| self.forge.hook_url(one));
            if urls.any(|url| url == Some(hook.url)) {
                return Err(self.exists());
            }
        }
        let made = match self.ask(self.forge.create_hook(&self.path, hook)).await {
            Err(ForgeError::Refused { status: 409 | 422, message, .. })
                if message.to_ascii_lowercase().contains("already exists") =>
            {
                return Err(self.exists());
            }
            made => made?,
        };
        match made.get("id") {
            Some(Value::Number(id)) => Ok(id.to_string()),
            Some(Value::String(id)) => Ok(id.clone()),
            Some(_) | None => Err(self.unreadable()),
        }
    }

    /// Changes a webhook; `false` when it is not there any more.
    pub(super) async fn update_hook(&self, id: &str, hook: &HookSpec<'_>) -> Result<bool, ForgeError> {
        match self.ask(self.forge.update_hook(&self.path, id, hook)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a webhook; one that is not there is removed.
    pub(super) async fn delete_hook(&self, id: &str) -> Result<(), ForgeError> {
        match self.ask(self.forge.delete_hook(&self.path, id)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Where the source of a commit is fetched, and with what.
    pub(super) fn archive(&self, sha: &str) -> (String, ArchiveLogin) {
        let url = format!("{}{}", self.api, self.forge.archive(&self.path, sha));
        (url, ArchiveLogin::new(self.forge.authorization(&self.token)))
    }

    async fn ask(&self, call: Call) -> Result<Value, ForgeError> {
        let provider = self.forge.name();
        let url = format!("{}{}", self.api, call.path);
        let mut headers = vec![
            ("authorization", self.forge.authorization(&self.token)),
            ("accept", "application/json".to_owned()),
            ("x-github-api-version", "2022-11-28".to_owned()),
        ];
        if call.body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        let body = call.body.map(|body| body.to_string());
        let answer = self
            .outbound
            .send((call.method, &url), &headers, body, LIMITS)
            .await
            .map_err(|cause| ForgeError::Unreachable { provider, cause })?;
        if !(200..300).contains(&answer.status) {
            let message = message(&answer.body);
            return Err(ForgeError::Refused { provider, status: answer.status, message });
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|_| self.unreadable())
    }

    fn unreadable(&self) -> ForgeError {
        ForgeError::Unreadable { provider: self.forge.name() }
    }

    fn exists(&self) -> ForgeError {
        ForgeError::HookExists { provider: self.forge.name() }
    }
}

/// The words of an error; GitHub has the reason of a refusal in a list behind it.
fn message(body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return "no reason was given".to_owned() };
    let first = ["/message", "/error", "/error_description"].map(|at| text(&body, at));
    let first = first.into_iter().find(|text| !text.is_empty()).unwrap_or("no reason was given");
    match text(&body, "/errors/0/message") {
        "" => shown(first),
        reason => format!("{}: {}", shown(first), shown(reason)),
    }
}
