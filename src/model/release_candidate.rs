//! Release candidates: a version that a commit is to be released as, and the slug that was built of it.

use super::ids::{AppId, BuildId, CandidateId, OrganizationId, PipelineId};
use super::names::UserName;
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// One candidate of a release project, which is a pipeline (reading 28).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseCandidate {
    pub id: CandidateId,
    pub pipeline: PipelineId,
    pub version: CandidateVersion,
    /// The app of the project's first stage whose builds it is cut from.
    pub source: AppId,
    /// The organization of that app.
    pub organization: OrganizationId,
    pub repository: Repository,
    pub commit: CommitHash,
    /// `None` while no build of the commit has succeeded.
    pub slug: Option<BuildId>,
    pub created_by: UserName,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// `<release version>-rc<number>`; case matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateVersion {
    release: String,
    number: u32,
}

/// The hash of a commit or the beginning of one, hexadecimal and in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitHash(String);

/// A repository, `org/name`; case does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository(String);

const RELEASE_VERSION_LIMIT: usize = 128;
const REPOSITORY_LIMIT: usize = 256;
/// Digits of a SHA-1 and of a SHA-256.
const FULL_LENGTHS: [usize; 2] = [40, 64];
/// The least digits by which git names a commit.
const SHORTEST: usize = 4;

impl CandidateVersion {
    /// Wants letters, digits, `.`, `_`, `+` and `-`, and at the end `-rc` and a number without leading zeros.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let refused = || {
            RuleError::new(format!(
                "Invalid release candidate version: \"{}\" is not a version of letters, digits and ._+- with -rc and a number behind it, as 1.4.0-rc2 is.",
                shown(text)
            ))
        };
        let (release, digits) = text.rsplit_once("-rc").ok_or_else(refused)?;
        let charset = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
        let canonical = digits == "0" || !digits.starts_with('0');
        if release.is_empty()
            || release.len() > RELEASE_VERSION_LIMIT
            || !release.bytes().all(charset)
            || !digits.bytes().all(|b| b.is_ascii_digit())
            || !canonical
        {
            return Err(refused());
        }
        let number = digits.parse().map_err(|_| refused())?;
        Ok(Self { release: release.to_owned(), number })
    }

    /// Takes parts that were checked when they were stored.
    pub fn from_stored(release: String, number: u32) -> Self {
        Self { release, number }
    }

    /// The version without `-rc` and the number.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The number behind `-rc`.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl std::fmt::Display for CandidateVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-rc{}", self.release, self.number)
    }
}

impl CommitHash {
    /// Wants 40 or 64 hexadecimal digits, or at least the first 4 of them.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let length = text.len();
        let fits = (SHORTEST..=40).contains(&length) || FULL_LENGTHS.contains(&length);
        if !fits || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(RuleError::new(format!(
                "Invalid commit hash: \"{}\" is not of 40 or 64 hexadecimal digits, or of at least the first {SHORTEST} of them.",
                shown(text)
            )));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// Takes a text that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// In lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names a commit without help of others.
    pub fn is_full(&self) -> bool {
        FULL_LENGTHS.contains(&self.0.len())
    }

    /// The one commit of these that it names: the same text, or the only one that begins with it. A full hash names
    /// its commit also when it is not among them.
    pub fn resolve(self, known: &[Self]) -> Result<Self, RuleError> {
        if self.is_full() || known.contains(&self) {
            return Ok(self);
        }
        let mut named: Vec<&Self> = known.iter().filter(|other| other.0.starts_with(&self.0)).collect();
        named.sort_unstable();
        named.dedup();
        match named.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(RuleError::new(format!(
                "Invalid commit hash: no build is of a commit that begins with {}; send all of its digits.",
                self.0
            ))),
            many => Err(RuleError::new(format!(
                "Invalid commit hash: {} different commits begin with {}; send more of its digits.",
                many.len(),
                self.0
            ))),
        }
    }
}

impl Repository {
    /// Wants `org/name`, or a URL that ends so.
    pub fn parse(text: &str) -> Option<Self> {
        let path = text.trim().trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let mut parts = path.rsplit(['/', ':']);
        let (name, owner) = (parts.next()?, parts.next()?);
        let charset = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let usable = path.len() <= REPOSITORY_LIMIT && charset(name) && charset(owner);
        usable.then(|| Self(format!("{owner}/{name}").to_ascii_lowercase()))
    }

    /// Takes a text that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// `org/name`, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(text: &str) -> CommitHash {
        CommitHash::parse(text).unwrap()
    }

    #[test]
    fn a_version_ends_with_rc_and_a_number() {
        let version = CandidateVersion::parse("1.4.0-rc2-rc10").unwrap();
        assert_eq!((version.release(), version.number()), ("1.4.0-rc2", 10));
        for bad in [
            "",
            "1.4.0",
            "-rc1",
            "1-rc",
            "1-rc-1",
            "1-rc01",
            "1-rc1a",
            "1 0-rc1",
            "1-RC1",
            "1-rc+1",
            "1-rc99999999999",
        ] {
            let error = CandidateVersion::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("Invalid release candidate version"), "{bad:?}: {error}");
        }
        assert!(CandidateVersion::parse(&format!("{}-rc1", "1".repeat(129))).is_err());
    }

    #[test]
    fn a_short_hash_names_the_only_commit_that_begins_with_it() {
        let known = [hash("abcd1234"), hash("abcd5678"), hash("abcd5678"), hash("ffff")];
        assert_eq!(hash("ABCD5").resolve(&known), Ok(hash("abcd5678")));
        assert_eq!(hash("ffff").resolve(&[hash("ffff"), hash("ffff1")]), Ok(hash("ffff")));
        assert!(hash("abcd").resolve(&known).is_err());
        assert!(hash("1234").resolve(&known).is_err());
        let full = hash(&"a".repeat(40));
        assert_eq!(full.clone().resolve(&known), Ok(full));
        for bad in ["", "abc", "xyzw", "abcd ", &"a".repeat(41), &"a".repeat(65)] {
            assert!(CommitHash::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_repository_is_the_same_by_its_name_and_by_its_addresses() {
        let wanted = Repository::parse("Akkeris/Events");
        assert!(wanted.is_some());
        for same in
            ["https://github.com/akkeris/events.git", "git@github.com:akkeris/events", "akkeris/events/"]
        {
            assert_eq!(Repository::parse(same), wanted, "{same}");
        }
        for bad in ["", "events", "/events", "a b/c", "akkeris/"] {
            assert_eq!(Repository::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_version_that_is_accepted_is_shown_as_it_was_written(text in "[a-z0-9.+-]{0,6}(-rc)?[0-9]{0,3}") {
            if let Ok(version) = CandidateVersion::parse(&text) {
                prop_assert_eq!(version.to_string(), text);
            }
        }
    }
}
