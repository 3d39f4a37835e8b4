//! What a build is told: the config vars, and what the request said about the commit (`behaviour.md` §7).

use std::collections::BTreeMap;

use super::dockerfile;
use crate::model::build::Commit;
use crate::model::config_var::ConfigVars;

/// Bytes of all arguments, as they are written into the address of the engine's request: the only place that the
/// engine reads them from, and one of at most 64 KiB (`http::Uri`).
const LIMIT: usize = 56 * 1024;

/// The arguments of one build.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) given: BTreeMap<String, String>,
    /// The names of those that are too large to be given.
    pub(super) left_out: Vec<String>,
}

impl Arguments {
    /// Where all together are too large, the largest are left out: a dyno gets them all the same.
    pub(super) fn new(commit: &Commit, vars: &ConfigVars) -> Self {
        let mut all = BTreeMap::from([
            ("AKKERIS_GIT_SHA1".to_owned(), commit.sha.clone()),
            ("AKKERIS_GIT_BRANCH".to_owned(), commit.branch.clone()),
            ("AKKERIS_GIT_REPO".to_owned(), commit.repo.clone()),
        ]);
        for (name, value) in vars {
            if let Some(name) = dockerfile::argument_name(name.as_str()) {
                all.entry(name).or_insert_with(|| value.reveal().to_owned());
            }
        }
        let mut by_size: Vec<(usize, String, String)> =
            all.into_iter().map(|(name, value)| (written(&name) + written(&value), name, value)).collect();
        by_size.sort_by_key(|(size, ..)| *size);
        let (mut arguments, mut total) = (Self::default(), 0);
        for (size, name, value) in by_size {
            total += size;
            if total <= LIMIT {
                arguments.given.insert(name, value);
            } else {
                arguments.left_out.push(name);
            }
        }
        arguments
    }
}

/// Bytes of a text as a JSON string in a query, with what separates it from the next.
fn written(text: &str) -> usize {
    const QUOTES_AND_SEPARATOR: usize = "%22%22%2C".len();
    let byte = |byte: u8| match byte {
        b'*' | b'-' | b'.' | b'_' | b' ' => 1,
        byte if byte.is_ascii_alphanumeric() => 1,
        b'"' | b'\\' => "%5C%22".len(),
        0..b' ' => "%5Cu001f".len(),
        _ => "%2F".len(),
    };
    QUOTES_AND_SEPARATOR + text.bytes().map(byte).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config_var::ConfigValue;
    use crate::model::names::ConfigVarName;

    fn arguments(vars: &[(&str, String)]) -> Arguments {
        let vars = vars.iter().map(|(name, value)| {
            (ConfigVarName::parse(name).unwrap(), ConfigValue::from_stored(value.clone()))
        });
        let commit = Commit { sha: "0123456789".to_owned(), ..Commit::default() };
        Arguments::new(&commit, &vars.collect())
    }

    #[test]
    fn the_largest_are_left_out_until_the_others_fit() {
        let few = arguments(&[("A", "x".repeat(20_000)), ("B", "x".repeat(30_000))]);
        assert_eq!(few.left_out, [""; 0]);
        assert_eq!(few.given.len(), 5);
        let many =
            arguments(&[("A", "x".repeat(20_000)), ("B", "x".repeat(30_000)), ("C", "x".repeat(25_000))]);
        assert_eq!(many.left_out, ["B"]);
        assert_eq!(many.given["AKKERIS_GIT_SHA1"], "0123456789");
    }

    #[test]
    fn text_is_as_large_as_it_is_in_a_query() {
        assert_eq!(written("a b"), "%22a+b%22%2C".len());
        assert_eq!(written("\"\n/é"), "%22%5C%22%5Cu000a%2F%C3%A9%22%2C".len());
        let json = arguments(&[("JSON", "\"".repeat(10_000)), ("A", "1".to_owned())]);
        assert_eq!(json.left_out, ["JSON"]);
    }
}
