//! What a provider tells of a repository, whatever the provider.

use super::auto_build::SourceCommit;
use super::pull_request::PullRequest;
use super::repository_url::BranchName;

/// One delivery of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceEvent {
    /// The provider tries the webhook.
    Ping,
    Push {
        branch: BranchName,
        commit: SourceCommit,
    },
    PullRequest(PullRequest),
    /// The checks of that commit may say something else now.
    ChecksChanged {
        sha: String,
    },
    /// Nothing follows from it: another event, a deleted branch, a tag.
    Other,
}
