//! Previews: apps made for the pull requests of another app (`behaviour.md` §28).
//!
//! Invariant: what a preview is named follows from its source and the branch alone.

use sha2::{Digest, Sha256};

use super::ids::{AppSetupId, PreviewId};
use super::names::{AppName, SpaceName};
use super::pipeline::AppReference;
use super::pull_request::PullRequest;
use super::repository_url::BranchName;
use super::site::SiteDomain;
use super::time::Timestamp;

/// A preview, with the names that every answer shows. It goes with its app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    pub id: PreviewId,
    /// The app that was made.
    pub app: AppReference,
    /// The app that it shows a change of.
    pub source: AppReference,
    /// The making of the app, which was over at once.
    pub setup: AppSetupId,
    pub trigger: PreviewTrigger,
    /// The branch that is to be merged.
    pub branch: BranchName,
    /// The number of the pull request.
    pub number: u64,
    pub created_at: Timestamp,
    /// When the pull request was heard of last.
    pub updated_at: Timestamp,
}

crate::text_enum! {
    /// What a preview was made for: a pull request at one of these providers.
    pub enum PreviewTrigger {
        GitHub => "github-pull-request",
        GitLab => "gitlab-merge-request",
        Gitea => "gitea-pull-request",
    }
}

/// What the names of a preview end with: the first five characters of a hash of its branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewSuffix(String);

/// The config var that tells an app that it is a preview: its key.
pub const PREVIEW_APP: &str = "PREVIEW_APP";
/// The config var that tells the key of its source.
pub const PREVIEW_APP_SOURCE: &str = "PREVIEW_APP_SOURCE";

/// Longest key of a preview, and longest first label of a preview's site.
const NAME_LIMIT: usize = 24;
const SUFFIX_LENGTH: usize = 5;

impl Preview {
    /// Whether the pull request is the one that it was made for: several may want to merge one branch.
    pub fn is_of(&self, request: &PullRequest) -> bool {
        self.number == request.number && self.branch == request.head.branch
    }
}

impl PreviewSuffix {
    /// Branches that are the same have the same.
    pub fn of(branch: &BranchName) -> Self {
        let digest = hex::encode(Sha256::digest(branch.as_str().to_lowercase()));
        Self(digest.chars().take(SUFFIX_LENGTH).collect())
    }

    /// The name of the preview of an app: the beginning of the app's, so that its key takes 24 characters at most.
    pub fn app_name(&self, source: &AppName, space: &SpaceName) -> AppName {
        let kept = NAME_LIMIT.saturating_sub(space.as_str().len() + SUFFIX_LENGTH + 1);
        AppName::from_stored(self.after(source.as_str(), kept))
    }

    /// The domain of the copy of a site: `shop1a2b3.example.com` of `shop.example.com`.
    pub fn domain(&self, source: &SiteDomain) -> SiteDomain {
        let domain = source.as_str();
        let (first, rest) = domain.split_at(domain.find('.').unwrap_or(domain.len()));
        SiteDomain::from_stored(self.after(first, NAME_LIMIT - SUFFIX_LENGTH) + rest)
    }

    fn after(&self, text: &str, kept: usize) -> String {
        text.chars().take(kept).chain(self.0.chars()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::names::AppKey;

    fn suffix(branch: &str) -> PreviewSuffix {
        PreviewSuffix::of(&BranchName::parse(branch).unwrap())
    }

    #[test]
    fn the_names_of_a_preview_end_with_the_hash_of_its_branch() {
        let name = AppName::parse("events").unwrap();
        let space = SpaceName::parse("perf-dev-us").unwrap();
        let fix = suffix("fix/login");
        // printf %s fix/login | sha256sum
        assert_eq!(fix.app_name(&name, &space).as_str(), "events5e870");
        assert_eq!(fix, suffix("refs/heads/Fix/Login"));
        assert_ne!(fix, suffix("fix/logout"));
        let domain = |text| fix.domain(&SiteDomain::parse(text).unwrap()).to_string();
        assert_eq!(domain("www.example.com"), format!("www{}.example.com", fix.0));
        assert_eq!(domain("shop"), format!("shop{}", fix.0));
        let long = "a-very-long-name-of-a-site.example.com";
        assert_eq!(domain(long), format!("a-very-long-name-of{}.example.com", fix.0));
    }

    proptest! {
        #[test]
        fn the_names_of_a_preview_are_usable(
            app in "[a-z0-9]{1,18}", space in "[a-z]([a-z0-9-]{0,9}[a-z0-9])?", site in "[a-z]([a-z-]{0,60}[a-z])?",
            branch in "[a-z]{1,30}",
        ) {
            let suffix = suffix(&branch);
            let space = SpaceName::parse(&space).unwrap();
            let name = suffix.app_name(&AppName::parse(&app).unwrap(), &space);
            prop_assert_eq!(AppName::parse(name.as_str()), Ok(name.clone()));
            prop_assert!(AppKey::new(&name, &space).is_ok());
            let domain = suffix.domain(&SiteDomain::parse(&format!("{site}.example.com")).unwrap());
            prop_assert_eq!(SiteDomain::parse(domain.as_str()), Ok(domain));
        }
    }
}
