//! What a push wants to change, and whether it may: pure.

use crate::model::rule::shown;

/// References that one push may change.
const CHANGES_LIMIT: usize = 200;
/// What an app deploys when nothing says otherwise, the first choice first.
const USUAL: [&str; 2] = ["main", "master"];
const BRANCHES: &str = "refs/heads/";

/// The name of an object: 40 or 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectId(String);

/// A reference that a push makes, moves or removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// `None` removes it.
    pub(super) to: Option<ObjectId>,
    /// `refs/heads/main`.
    pub(super) reference: String,
}

/// What is to be done with a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The commit is built and released, and the push is as good as that.
    Deploy { branch: String, commit: ObjectId },
    /// Everything is kept, nothing is built.
    Keep { note: String },
    /// Nothing is changed, for this reason.
    Refuse { why: String },
}

impl ObjectId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (matches!(text.len(), 40 | 64) && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first seven digits, as git shows it.
    pub(super) fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

/// Reads the lines `<old> <new> <reference>` that git gives to its hooks; `None` when a line has another form.
pub(super) fn parse(lines: &str) -> Option<Vec<Change>> {
    lines.lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Change> {
    let mut parts = line.splitn(3, ' ');
    let (old, new, reference) = (parts.next()?, parts.next()?, parts.next()?);
    ObjectId::parse(old)?;
    let to = ObjectId::parse(new)?;
    let removed = to.as_str().bytes().all(|b| b == b'0');
    Some(Change { to: (!removed).then_some(to), reference: reference.to_owned() })
}

/// Decides on a push into a repository that has these branches; `configured` is the branch that the app was told to
/// deploy. Without that it is `main`, or `master` where that came first.
pub(super) fn judge(changes: &[Change], branches: &[String], configured: Option<&str>) -> Verdict {
    if changes.len() > CHANGES_LIMIT {
        let why = format!(
            "This push changes {} references; at most {CHANGES_LIMIT} are taken at once.",
            changes.len()
        );
        return Verdict::Refuse { why };
    }
    let kept =
        |change: &&Change| ["refs/heads/", "refs/tags/"].iter().any(|p| change.reference.starts_with(p));
    if let Some(stranger) = changes.iter().find(|change| !kept(change)) {
        let why = format!("Only branches and tags are kept here, not {}.", shown(&stranger.reference));
        return Verdict::Refuse { why };
    }
    let deployed = deployed(changes, branches, configured);
    let of_it = changes.iter().find(|change| change.reference.strip_prefix(BRANCHES) == Some(&deployed));
    match of_it {
        Some(Change { to: Some(commit), .. }) => Verdict::Deploy { branch: deployed, commit: commit.clone() },
        Some(Change { to: None, .. }) => Verdict::Refuse {
            why: format!("The branch {deployed} cannot be removed: it is the one that is deployed."),
        },
        None => Verdict::Keep {
            note: format!(
                "Kept, not built: only the branch {deployed} is deployed. To deploy another one: git push <remote> <branch>:{deployed}"
            ),
        },
    }
}

fn deployed(changes: &[Change], branches: &[String], configured: Option<&str>) -> String {
    if let Some(configured) = configured {
        return configured.to_owned();
    }
    let made = |name: &str| {
        let made =
            |change: &Change| change.to.is_some() && change.reference.strip_prefix(BRANCHES) == Some(name);
        changes.iter().any(made)
    };
    let there = USUAL.into_iter().find(|name| branches.iter().any(|branch| branch == name));
    there.or_else(|| USUAL.into_iter().find(|name| made(name))).unwrap_or("main").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const NONE: &str = "0000000000000000000000000000000000000000";

    fn judged(lines: &[(&str, &str)], branches: &[&str], configured: Option<&str>) -> Verdict {
        let lines: Vec<String> =
            lines.iter().map(|(to, reference)| format!("{NONE} {to} {reference}")).collect();
        let branches: Vec<String> = branches.iter().map(|&branch| branch.to_owned()).collect();
        judge(&parse(&lines.join("\n")).unwrap(), &branches, configured)
    }

    fn deploys(verdict: &Verdict) -> Option<&str> {
        match verdict {
            Verdict::Deploy { branch, .. } => Some(branch),
            Verdict::Keep { .. } | Verdict::Refuse { .. } => None,
        }
    }

    #[test]
    fn main_is_deployed_and_master_where_it_came_first() {
        let (main, master) = ((ONE, "refs/heads/main"), (ONE, "refs/heads/master"));
        assert_eq!(deploys(&judged(&[main], &[], None)), Some("main"));
        assert_eq!(deploys(&judged(&[master], &[], None)), Some("master"));
        assert_eq!(deploys(&judged(&[master, main], &[], None)), Some("main"));
        assert_eq!(deploys(&judged(&[main], &["master"], None)), None);
        assert_eq!(deploys(&judged(&[master], &["main"], None)), None);
        assert_eq!(deploys(&judged(&[master], &["main"], Some("master"))), Some("master"));
        assert_eq!(deploys(&judged(&[main], &["main"], Some("live"))), None);
    }

    #[test]
    fn what_is_not_deployed_is_kept_and_says_how_to_deploy_it() {
        for reference in ["refs/heads/feature", "refs/tags/main", "refs/heads/feature/main"] {
            let Verdict::Keep { note } = judged(&[(ONE, reference)], &["main"], None) else {
                panic!("{reference} is kept")
            };
            assert!(note.contains("<branch>:main"), "{note}");
        }
        assert!(matches!(judged(&[(NONE, "refs/heads/old")], &["main"], None), Verdict::Keep { .. }));
    }

    #[test]
    fn the_deployed_branch_stays_and_other_references_are_refused() {
        let why = |verdict| match verdict {
            Verdict::Refuse { why } => why,
            Verdict::Deploy { .. } | Verdict::Keep { .. } => panic!("{verdict:?}"),
        };
        assert!(why(judged(&[(NONE, "refs/heads/main")], &["main"], None)).contains("cannot be removed"));
        assert!(why(judged(&[(ONE, "refs/notes/x")], &[], None)).contains("refs/notes/x"));
        let many = vec![(ONE, "refs/tags/x"); 201];
        assert!(why(judged(&many, &[], None)).contains("201"));
    }

    #[test]
    fn a_line_of_another_form_is_no_change() {
        for line in ["", "x", "1 2 refs/heads/x", &format!("{ONE} {ONE}")] {
            assert!(line.is_empty() || parse(line).is_none(), "{line}");
        }
        assert!(parse(&format!("{ONE} {NONE} refs/heads/a b")).unwrap()[0].to.is_none());
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(text in "(?s).{0,200}") {
            drop(parse(&text));
        }
    }
}
