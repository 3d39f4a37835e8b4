//! Pull requests (GitLab: merge requests), as every provider tells of them.

use serde::{Deserialize, Serialize};

use super::repository_url::{BranchName, RepositoryUrl};

/// One change of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// As people know it: `12` of `#12`.
    pub number: u64,
    pub change: PullRequestChange,
    pub title: String,
    /// For people.
    pub url: String,
    /// The login of who opened it.
    pub author: String,
    pub head: PullRequestHead,
    /// The branch that it is to be merged into.
    pub base: BranchName,
}

/// What is to be merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestHead {
    pub branch: BranchName,
    pub sha: String,
    /// `None` when the fork that it came from is gone.
    pub repository: Option<RepositoryUrl>,
}

/// What happened to a pull request (`behaviour.md` §12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullRequestChange {
    /// Opened or reopened.
    Opened,
    /// Commits were pushed to it, or its words changed.
    Updated,
    /// It is to be merged into another branch than `from` now.
    Retargeted { from: BranchName },
    /// Merged or given up.
    Closed,
}

impl PullRequest {
    /// Whether it comes from another repository than this one: then it may hold anything.
    pub fn is_from_fork_of(&self, repository: &RepositoryUrl) -> bool {
        self.head.repository.as_ref() != Some(repository)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_request_of_another_repository_or_of_none_is_from_a_fork() {
        let own = RepositoryUrl::parse("https://github.com/org/name").unwrap();
        let mut request = PullRequest {
            number: 1,
            change: PullRequestChange::Opened,
            title: String::new(),
            url: String::new(),
            author: String::new(),
            head: PullRequestHead {
                branch: BranchName::parse("fix").unwrap(),
                sha: String::new(),
                repository: Some(RepositoryUrl::parse("https://github.com/Org/Name.git").unwrap()),
            },
            base: BranchName::parse("main").unwrap(),
        };
        assert!(!request.is_from_fork_of(&own));
        request.head.repository = Some(RepositoryUrl::parse("https://github.com/other/name").unwrap());
        assert!(request.is_from_fork_of(&own));
        request.head.repository = None;
        assert!(request.is_from_fork_of(&own));
    }
}
