//! The servers of repositories, as the configuration names them.

use super::DaemonError;
use crate::config::{SourceAccount, SourcesConfig};
use crate::model::auto_build::{ChecksLimits, SourceProvider, SourceSecret};
use crate::source_control::{SourceLogin, SourceServer, SourceServers};

/// Reads the token files. Blocks.
pub(super) fn servers(config: &SourcesConfig) -> Result<SourceServers, DaemonError> {
    let mut servers = vec![SourceServer {
        provider: SourceProvider::GitHub,
        url: config.github_url.clone(),
        api: config.github_api.clone(),
        account: login(config.github_account.as_ref())?,
    }];
    let others = [
        (SourceProvider::GitLab, &config.gitlab, &config.gitlab_account, "/api/v4"),
        (SourceProvider::Gitea, &config.gitea, &config.gitea_account, "/api/v1"),
    ];
    for (provider, urls, account, below) in others {
        // A token goes to one server only: others may be somebody else's.
        let mut account = login(account.as_ref())?;
        servers.extend(urls.iter().map(|url| SourceServer {
            provider,
            url: url.clone(),
            api: format!("{url}{below}"),
            account: account.take(),
        }));
    }
    Ok(SourceServers::new(servers))
}

pub(super) fn checks_limits(config: &SourcesConfig) -> ChecksLimits {
    ChecksLimits { total: config.status_timeout, absence: config.status_absence }
}

fn login(account: Option<&SourceAccount>) -> Result<Option<SourceLogin>, DaemonError> {
    let Some(SourceAccount { username, token_file }) = account else { return Ok(None) };
    let path = || token_file.display().to_string();
    let text = std::fs::read_to_string(token_file)
        .map_err(|source| DaemonError::SourceToken { path: path(), source })?;
    let token = SourceSecret::parse(&text).map_err(|_| DaemonError::NoSourceToken { path: path() })?;
    Ok(Some(SourceLogin { username: username.clone(), token }))
}
