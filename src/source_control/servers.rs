//! The servers of repositories that the operator knows.

use crate::model::RuleError;
use crate::model::auto_build::{SourceProvider, SourceSecret};
use crate::model::repository_url::RepositoryUrl;
use crate::model::rule::shown;

/// A server of repositories.
#[derive(Debug, Clone)]
pub struct SourceServer {
    pub provider: SourceProvider,
    /// Where its repositories are, without a slash at its end.
    pub url: String,
    /// Where its API is, without a slash at its end.
    pub api: String,
    /// Of those who name none of their own.
    pub account: Option<SourceLogin>,
}

/// A user of a server.
#[derive(Debug, Clone)]
pub struct SourceLogin {
    pub username: String,
    pub token: SourceSecret,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct SourceServers(Vec<SourceServer>);

impl SourceServers {
    pub fn new(servers: Vec<SourceServer>) -> Self {
        Self(servers)
    }

    /// The server of a repository, and the repository's path there.
    pub(super) fn of<'a>(
        &'a self,
        repo: &'a RepositoryUrl,
    ) -> Result<(&'a SourceServer, &'a str), RuleError> {
        let found = self.0.iter().find_map(|server| {
            let path = repo.path_at(&server.url)?;
            // GitLab has groups in groups.
            let fits = server.provider == SourceProvider::GitLab || path.split('/').count() == 2;
            fits.then_some((server, path))
        });
        found.ok_or_else(|| {
            let known: Vec<String> = self.0.iter().map(|server| format!("{}/org/name", server.url)).collect();
            RuleError::new(format!(
                "The repo \"{}\" is at no server that is known here: use one like {}.",
                shown(repo.as_str()),
                known.join(" or ")
            ))
        })
    }
}
