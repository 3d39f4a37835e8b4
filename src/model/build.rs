//! Builds and the slugs they make (a slug's id is its build's id, reading 8).

use super::ids::{AppId, BuildId, InstallationId};
use super::names::UserName;
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// One attempt to make an image out of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub id: BuildId,
    pub app_id: AppId,
    /// 1, 2, 3 … per app.
    pub number: u32,
    pub state: BuildState,
    pub source: BuildSource,
    pub checksum: Checksum,
    pub commit: Commit,
    pub created_by: UserName,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The lifecycle of a build. Each change is on disk before the step it names begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildState {
    Queued,
    Running { step: BuildStep, since: Timestamp, attempt: u32 },
    Succeeded { image: ImageId, finished_at: Timestamp },
    Failed { reason: String, finished_at: Timestamp },
    Stopped { by: UserName, finished_at: Timestamp },
}

crate::text_enum! {
    /// What a running build is doing.
    pub enum BuildStep {
        /// Pulling the image, or bringing the archive to this machine.
        Fetching => "fetching",
        /// Checking the archive and making the build context.
        Unpacking => "unpacking",
        /// The engine is at work.
        Building => "building",
        /// The image is there; its Procfile is applied and the result is stored.
        Recording => "recording",
    }
}

crate::text_enum! {
    /// A build's state as the API shows it (`behaviour.md` §7).
    pub enum BuildStatus {
        Queued => "queued",
        Pending => "pending",
        Succeeded => "succeeded",
        Failed => "failed",
    }
}

impl BuildState {
    /// As the API shows it; a stopped build is a failed one (`behaviour.md` §7).
    pub fn status(&self) -> BuildStatus {
        match self {
            Self::Queued => BuildStatus::Queued,
            Self::Running { .. } => BuildStatus::Pending,
            Self::Succeeded { .. } => BuildStatus::Succeeded,
            Self::Failed { .. } | Self::Stopped { .. } => BuildStatus::Failed,
        }
    }

    /// Whether nothing further happens to the build.
    pub fn is_finished(&self) -> bool {
        match self {
            Self::Queued | Self::Running { .. } => false,
            Self::Succeeded { .. } | Self::Failed { .. } | Self::Stopped { .. } => true,
        }
    }
}

/// Where the content comes from. Secrets in a URL are sealed by the store and never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum BuildSource {
    /// The archive came with the request and lies in the daemon's `sources` folder under the build's id.
    Upload,
    /// An archive to fetch over `http` or `https`.
    Archive { url: String, login: Option<ArchiveLogin> },
    /// An image to pull: `registry/repo:tag` or `registry/repo@sha256:…`.
    Image { reference: ImageReference, login: Option<RegistryLogin> },
}

impl std::fmt::Debug for BuildSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BuildSource({:?})", self.shown_url())
    }
}

impl BuildSource {
    /// The URL without its userinfo, `""` for a data URI (reading 25).
    pub fn shown_url(&self) -> String {
        match self {
            Self::Upload => String::new(),
            Self::Archive { url, .. } => without_userinfo(url),
            Self::Image { reference, .. } => format!("docker://{}", reference.as_str()),
        }
    }
}

/// The header `Authorization` that the server of an archive gets, and nobody that it sends the daemon on to.
#[derive(Clone, PartialEq, Eq)]
pub struct ArchiveLogin(String);

impl ArchiveLogin {
    /// Takes the header's value.
    pub fn new(authorization: String) -> Self {
        Self(authorization)
    }

    /// The header's value, for the one place that sends it and the one that seals it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ArchiveLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArchiveLogin([sealed])")
    }
}

/// Credentials of a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RegistryLogin([sealed])")
    }
}

/// A reference with a tag or digest: `host/repo:tag`; `docker.io/x` and `x` are the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference(String);

impl ImageReference {
    /// Wants a tag or a digest (`behaviour.md` §36.26).
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let refused =
            |why: &str| RuleError::new(format!("The image \"{}\" is not usable: {why}.", shown(text)));
        let charset = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
        if text.is_empty()
            || text.len() > 512
            || !text.bytes().all(charset)
            || text.starts_with(['/', ':', '@', '-'])
        {
            return Err(refused("use docker://registry/repository:tag"));
        }
        let last = text.rsplit('/').next().unwrap_or(text);
        let tagged = last.split_once('@').map_or_else(
            || last.split_once(':').is_some_and(|(name, tag)| !name.is_empty() && !tag.is_empty()),
            |(name, digest)| {
                !name.is_empty() && digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64)
            },
        );
        if !tagged {
            return Err(refused("name a tag, for example docker://registry/repository:1.0"));
        }
        Ok(Self(text.strip_prefix("docker.io/").unwrap_or(text).to_owned()))
    }

    /// Takes a reference that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The image that a build of this installation made.
    pub fn of_build(installation: InstallationId, app: AppId, build: BuildId) -> Self {
        Self(format!("{}{app}:{build}", own_repositories(installation)))
    }

    /// Whose build made the image; `None` for one of another installation or of a registry.
    pub fn built_by(&self, installation: InstallationId) -> Option<(AppId, BuildId)> {
        let (app, build) = self.0.strip_prefix(&own_repositories(installation))?.split_once(':')?;
        Some((app.parse().ok()?, build.parse().ok()?))
    }

    /// `host/repo:tag`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the names of this installation's images begin with. Of its id the end tells it apart: a version 7 id begins
/// with the time.
pub fn own_repositories(installation: InstallationId) -> String {
    let id = installation.to_string();
    format!("akkeris-{}/", id.rsplit('-').next().unwrap_or(&id))
}

/// The engine's id of an image (`sha256:…`): what it names never changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(String);

impl ImageId {
    /// Takes the engine's own text.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The engine's own text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ImageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the request said about its content's checksum, kept as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checksum(String);

impl Checksum {
    /// Up to 256 characters; only `sha256:<64 hex>` is ever verified (reading 9).
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text.len() > 256 {
            return Err(RuleError::new("The checksum is too long: use sha256: and 64 hexadecimal digits."));
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes a text that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SHA-256 to verify, lower case; `None` when the text has no such form.
    pub fn sha256(&self) -> Option<String> {
        let hex = self.0.strip_prefix("sha256:")?;
        (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then(|| hex.to_ascii_lowercase())
    }
}

/// What the request said about the commit; shown and passed to the build, never interpreted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    pub repo: String,
    pub sha: String,
    pub branch: String,
    pub version: String,
    pub message: String,
    pub author: String,
}

/// A URL without `user:password@`.
pub fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_needs_a_tag_and_the_hub_is_one_place() {
        assert_eq!(ImageReference::parse("docker.io/akkeris/x:1").unwrap().as_str(), "akkeris/x:1");
        assert!(ImageReference::parse("localhost:5000/app").is_err());
        assert!(ImageReference::parse("localhost:5000/app:2").is_ok());
        assert!(ImageReference::parse(&format!("x/y@sha256:{}", "a".repeat(64))).is_ok());
        assert!(ImageReference::parse("x y:1").is_err());
    }

    #[test]
    fn an_image_of_this_installation_is_told_from_all_others() {
        let id = |number| uuid::Uuid::from_u128(number);
        let (here, there) = (InstallationId::new(id(1)), InstallationId::new(id(2)));
        let (app, build) = (AppId::new(id(3)), BuildId::new(id(4)));
        let image = ImageReference::of_build(here, app, build);
        assert_eq!(ImageReference::parse(image.as_str()).unwrap(), image);
        assert_eq!((image.built_by(here), image.built_by(there)), (Some((app, build)), None));
        assert_eq!(ImageReference::parse("akkeris/x:1").unwrap().built_by(here), None);
    }

    #[test]
    fn a_shown_url_has_no_userinfo() {
        let source = BuildSource::Archive { url: "https://u:p@host/x.zip?a=@".into(), login: None };
        assert_eq!(source.shown_url(), "https://host/x.zip?a=@");
        assert_eq!(BuildSource::Upload.shown_url(), "");
        assert!(!format!("{source:?}").contains("u:p"));
    }
}
