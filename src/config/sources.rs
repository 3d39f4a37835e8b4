//! `[sources]`: the servers of repositories that apps may be built from by themselves.

use std::path::PathBuf;
use std::time::Duration;

use super::absolute_path;
use super::error::ConfigError;
use super::layers::Layers;
use super::setting::Setting;
use super::units;

/// Settings of auto builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcesConfig {
    /// Default `https://github.com`; a GitHub Enterprise Server has its own.
    pub github_url: String,
    /// Default `https://api.github.com`, and `/api/v3` below any other `github_url`.
    pub github_api: String,
    /// Used when an auto build names none.
    pub github_account: Option<SourceAccount>,
    /// Servers, separated by commas; the API of each is below `/api/v4`. Default `https://gitlab.com`.
    pub gitlab: Vec<String>,
    /// Used at the first of them.
    pub gitlab_account: Option<SourceAccount>,
    /// Servers of Gitea or Forgejo, separated by commas; the API of each is below `/api/v1`. Default
    /// `https://codeberg.org`.
    pub gitea: Vec<String>,
    /// Used at the first of them.
    pub gitea_account: Option<SourceAccount>,
    /// How long a commit's status checks are waited for. Default 1 h.
    pub status_timeout: Duration,
    /// After which a commit that nothing reports on counts as checked. Default 5 min.
    pub status_absence: Duration,
}

/// An account of the whole daemon at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceAccount {
    pub username: String,
    /// Holds the token; a file, so that no configuration shows it.
    pub token_file: PathBuf,
}

const GITHUB_URL: Setting =
    Setting::text("sources.github_url", "AKKERISD_SOURCES_GITHUB_URL", "https://github.com", ADDRESS);
const GITHUB_API: Setting = Setting::text("sources.github_api", "AKKERISD_SOURCES_GITHUB_API", "", ADDRESS);
const GITHUB_USERNAME: Setting =
    Setting::text("sources.github_username", "AKKERISD_SOURCES_GITHUB_USERNAME", "", USERNAME);
const GITHUB_TOKEN_FILE: Setting =
    Setting::text("sources.github_token_file", "AKKERISD_SOURCES_GITHUB_TOKEN_FILE", "", TOKEN_FILE);
const GITLAB: Setting =
    Setting::text("sources.gitlab", "AKKERISD_SOURCES_GITLAB", "https://gitlab.com", ADDRESSES);
const GITLAB_USERNAME: Setting =
    Setting::text("sources.gitlab_username", "AKKERISD_SOURCES_GITLAB_USERNAME", "", USERNAME);
const GITLAB_TOKEN_FILE: Setting =
    Setting::text("sources.gitlab_token_file", "AKKERISD_SOURCES_GITLAB_TOKEN_FILE", "", TOKEN_FILE);
const GITEA: Setting =
    Setting::text("sources.gitea", "AKKERISD_SOURCES_GITEA", "https://codeberg.org", ADDRESSES);
const GITEA_USERNAME: Setting =
    Setting::text("sources.gitea_username", "AKKERISD_SOURCES_GITEA_USERNAME", "", USERNAME);
const GITEA_TOKEN_FILE: Setting =
    Setting::text("sources.gitea_token_file", "AKKERISD_SOURCES_GITEA_TOKEN_FILE", "", TOKEN_FILE);
const STATUS_TIMEOUT: Setting =
    Setting::text("sources.status_timeout", "AKKERISD_SOURCES_STATUS_TIMEOUT", "1h", DURATION);
const STATUS_ABSENCE: Setting =
    Setting::text("sources.status_absence", "AKKERISD_SOURCES_STATUS_ABSENCE", "5m", DURATION);
pub(super) const SETTINGS: &[Setting] = &[
    GITHUB_URL,
    GITHUB_API,
    GITHUB_USERNAME,
    GITHUB_TOKEN_FILE,
    GITLAB,
    GITLAB_USERNAME,
    GITLAB_TOKEN_FILE,
    GITEA,
    GITEA_USERNAME,
    GITEA_TOKEN_FILE,
    STATUS_TIMEOUT,
    STATUS_ABSENCE,
];

const ADDRESS: &str = "an address like https://github.example.com";
const ADDRESSES: &str = "addresses like https://git.example.com, separated by commas";
const USERNAME: &str = "a user's name, together with the token file";
const TOKEN_FILE: &str = "an absolute path, together with the username";
const DURATION: &str = "a duration above zero, like 20m or 90s";
const PUBLIC_GITHUB: &str = "https://github.com";

impl SourcesConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        let github_url = layers.parse(&GITHUB_URL, address)?;
        let api = layers.parse_optional(&GITHUB_API, address)?;
        let github_api = api.unwrap_or_else(|| match github_url.as_str() {
            PUBLIC_GITHUB => "https://api.github.com".to_owned(),
            other => format!("{other}/api/v3"),
        });
        Ok(Self {
            github_account: account(layers, &GITHUB_USERNAME, &GITHUB_TOKEN_FILE)?,
            github_url,
            github_api,
            gitlab: layers.parse(&GITLAB, addresses)?,
            gitlab_account: account(layers, &GITLAB_USERNAME, &GITLAB_TOKEN_FILE)?,
            gitea: layers.parse(&GITEA, addresses)?,
            gitea_account: account(layers, &GITEA_USERNAME, &GITEA_TOKEN_FILE)?,
            status_timeout: layers.parse(&STATUS_TIMEOUT, units::positive_duration)?,
            status_absence: layers.parse(&STATUS_ABSENCE, units::positive_duration)?,
        })
    }
}

fn account(
    layers: &Layers,
    username: &Setting,
    token_file: &Setting,
) -> Result<Option<SourceAccount>, ConfigError> {
    let name = layers.parse_optional(username, |text| Some(text.to_owned()))?;
    let file = layers.parse_optional(token_file, absolute_path)?;
    match (name, file) {
        (Some(username), Some(token_file)) => Ok(Some(SourceAccount { username, token_file })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(layers.wrong(username, USERNAME.to_owned())),
        (None, Some(_)) => Err(layers.wrong(token_file, TOKEN_FILE.to_owned())),
    }
}

fn address(text: &str) -> Option<String> {
    units::web_address(text.trim())
}

fn addresses(text: &str) -> Option<Vec<String>> {
    text.split(',').filter(|part| !part.trim().is_empty()).map(address).collect()
}
