//! Where a repository is on the web, and the names of its branches.

use serde::{Deserialize, Serialize};

use super::rule::{RuleError, shown};

/// `https://github.com/org/name`. Two are the same when they differ in case, scheme, `.git` or slashes at the end only
/// (`behaviour.md` §12).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryUrl(String);

/// The name of a branch. Two are the same when they differ in case only (`behaviour.md` §12).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BranchName(String);

const URL_LIMIT: usize = 512;
const BRANCH_LIMIT: usize = 255;

impl RepositoryUrl {
    /// Wants `http(s)://host/owner/name`, also without the scheme; userinfo is dropped.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let refused = || {
            RuleError::new(format!(
                "The repo \"{}\" is not usable: write it like https://github.com/org/name.",
                shown(text.rsplit('@').next().unwrap_or_default())
            ))
        };
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "http" | "https") || text.len() > URL_LIMIT {
            return Err(refused());
        }
        let (authority, path) = rest.split_once('/').ok_or_else(refused)?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
        let is_host =
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        let is_segment = |segment: &str| {
            let charset = |b: u8| b.is_ascii_alphanumeric() || b"._-~+".contains(&b);
            !segment.is_empty() && !matches!(segment, "." | "..") && segment.bytes().all(charset)
        };
        if !is_host || path.split('/').count() < 2 || !path.split('/').all(is_segment) {
            return Err(refused());
        }
        Ok(Self(format!("{scheme}://{host}/{path}")))
    }

    /// Takes a text that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Without userinfo, `.git` and a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is behind the address of a server: `org/name` of `https://github.com/org/name`. `None` when it is not
    /// there.
    pub fn path_at(&self, server: &str) -> Option<&str> {
        let (_, rest) = self.0.split_once("://")?;
        let (_, server) = server.split_once("://")?;
        let server = server.trim_end_matches('/');
        let head = rest.get(..server.len())?;
        let path = rest.get(server.len()..)?.strip_prefix('/')?;
        head.eq_ignore_ascii_case(server).then_some(path)
    }

    /// What is compared.
    fn place(&self) -> &str {
        self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest)
    }
}

impl PartialEq for RepositoryUrl {
    fn eq(&self, other: &Self) -> bool {
        self.place().eq_ignore_ascii_case(other.place())
    }
}

impl Eq for RepositoryUrl {}

impl BranchName {
    /// Wants what git takes as the name of a branch (git-check-ref-format), with or without `refs/heads/`.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let name = text.trim();
        let name = name.strip_prefix("refs/heads/").unwrap_or(name);
        let is_part =
            |part: &str| !part.is_empty() && !part.starts_with('.') && part.strip_suffix(".lock").is_none();
        let charset = |c: char| !c.is_control() && !" ~^:?*[\\".contains(c);
        let usable = name.len() <= BRANCH_LIMIT
            && name.split('/').all(is_part)
            && name.chars().all(charset)
            && !name.starts_with('-')
            && !name.ends_with('.')
            && !name.contains("..")
            && !name.contains("@{");
        if !usable {
            return Err(RuleError::new(format!(
                "The branch \"{}\" is not usable: it is no name that git takes for a branch.",
                shown(text)
            )));
        }
        Ok(Self(name.to_owned()))
    }

    /// Takes a text that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Without `refs/heads/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for BranchName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for BranchName {}

impl std::fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for BranchName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_repository_is_the_same_in_all_its_spellings() {
        let wanted = RepositoryUrl::parse("https://github.com/Org/Name").unwrap();
        for same in [
            "http://GitHub.com/org/name.git",
            "github.com/org/name/",
            " https://user:secret@github.com/ORG/NAME.git/ ",
        ] {
            let parsed = RepositoryUrl::parse(same).unwrap();
            assert_eq!(parsed, wanted, "{same}");
            assert!(!parsed.as_str().contains("secret"));
        }
        assert_ne!(RepositoryUrl::parse("https://github.com/org/other").unwrap(), wanted);
        assert_eq!(wanted.path_at("https://github.com"), Some("Org/Name"));
        assert_eq!(wanted.path_at("http://github.com/"), Some("Org/Name"));
        assert_eq!(wanted.path_at("https://github.co"), None);
        assert_eq!(wanted.path_at("https://gitlab.com"), None);
    }

    #[test]
    fn what_is_no_repository_is_refused() {
        for bad in [
            "",
            "github.com",
            "https://github.com/org",
            "ftp://github.com/a/b",
            "https:///a/b",
            "https://github.com/a/../b",
            "https://github.com/a/b?c",
            "https://github.com/a b/c",
            "https://github.com/a/b#c",
            "git@github.com:a/b",
        ] {
            assert!(RepositoryUrl::parse(bad).is_err(), "{bad}");
        }
        for leaky in ["https://user:secret@github.com", "user:secret@github.com", "x://user:secret@h/a/b"] {
            let error = RepositoryUrl::parse(leaky).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_branch_is_what_git_takes() {
        for good in ["main", "feature/x", "refs/heads/main", "v1.0", "a@b"] {
            assert!(BranchName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "-x", "a..b", "a.lock", "/a", "a/", "a//b", "a~1", "a:b", "x@{1}", "x.", ".x"]
        {
            assert!(BranchName::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(BranchName::parse("refs/heads/Main").unwrap(), BranchName::parse("main").unwrap());
    }

    proptest! {
        #[test]
        fn what_was_parsed_is_parsed_to_the_same(text in "(https?://)?[a-zA-Z.:@]{1,12}(/[a-z.]{0,5}){0,4}") {
            if let Ok(url) = RepositoryUrl::parse(&text) {
                prop_assert_eq!(RepositoryUrl::parse(url.as_str()).unwrap().0, url.0);
            }
        }
    }
}
