//! The header `Range` as Heroku's Platform API reads it: `<property> <first>..<last>; max=10, order=desc`.
//!
//! Invariant: a bound is a value of an item, never its place in the list, so that items that come and go between
//! two pages make no other be skipped or shown twice. A bound may name the unique property too, after `~`, because
//! several items may have one value. `]` before the first and `[` after the last leave the bound itself out.

use std::cmp::Ordering;
use std::fmt::Write as _;

use crate::model::RuleError;
use crate::model::rule::shown;

/// Items of a page at most, and when nobody asks for a number.
pub(super) const LARGEST_PAGE: usize = 1000;

/// What is asked of a list; the texts of the bounds are decoded, but not yet read as values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) property: String,
    pub(super) first: Option<Bound>,
    pub(super) last: Option<Bound>,
    /// 1 to [`LARGEST_PAGE`].
    pub(super) max: usize,
    /// `None` for the list's own.
    pub(super) order: Option<Order>,
}

/// One end of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) value: String,
    /// The unique property of the one item that is meant among those with the value.
    pub(super) unique: Option<String>,
    /// Whether the range begins after it, or ends before it.
    pub(super) excluded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

impl Range {
    /// Reads the header. `None` for a range of another unit (`bytes=0-10`), which HTTP wants ignored.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, RuleError> {
        let text = text.trim();
        let end = text.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(text.len());
        let (property, rest) = text.split_at(end);
        if rest.starts_with('=') {
            return Ok(None);
        }
        let (bounds, parameters) = rest.split_once(';').unwrap_or((rest, ""));
        let (first, last) = bounds.split_once("..").ok_or_else(|| malformed(text))?;
        let (first, last) = (first.trim(), last.trim());
        let (after, before) = (first.strip_prefix(']'), last.strip_suffix('['));
        let mut range = Self {
            property: property.to_owned(),
            first: bound(after.unwrap_or(first), after.is_some()).ok_or_else(|| malformed(text))?,
            last: bound(before.unwrap_or(last), before.is_some()).ok_or_else(|| malformed(text))?,
            max: LARGEST_PAGE,
            order: None,
        };
        for parameter in parameters.split([',', ';']).map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = parameter.split_once('=').ok_or_else(|| malformed(text))?;
            match (name.trim(), value.trim()) {
                ("max", value) => range.max = max(value)?,
                ("order", "asc") => range.order = Some(Order::Ascending),
                ("order", "desc") => range.order = Some(Order::Descending),
                _ => return Err(malformed(text)),
            }
        }
        Ok(Some(range))
    }
}

impl Order {
    pub(super) fn apply(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Ascending => ordering,
            Self::Descending => ordering.reverse(),
        }
    }
}

/// As a client sends it.
impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.property)?;
        if let Some(first) = &self.first {
            write!(f, "{}{first}", if first.excluded { "]" } else { "" })?;
        }
        f.write_str("..")?;
        if let Some(last) = &self.last {
            write!(f, "{last}{}", if last.excluded { "[" } else { "" })?;
        }
        write!(f, "; max={}", self.max)?;
        match self.order {
            Some(Order::Descending) => f.write_str(", order=desc"),
            Some(Order::Ascending) => f.write_str(", order=asc"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&encode(&self.value))?;
        match &self.unique {
            Some(unique) => write!(f, "~{}", encode(unique)),
            None => Ok(()),
        }
    }
}

/// `Some(None)` where nothing is given, `None` where it cannot be read.
#[expect(clippy::option_option, reason = "a missing bound and a wrong one differ")]
fn bound(text: &str, excluded: bool) -> Option<Option<Bound>> {
    if text.is_empty() {
        return (!excluded).then_some(None);
    }
    let (value, unique) = match text.split_once('~') {
        Some((value, unique)) => (value, Some(decode(unique)?)),
        None => (text, None),
    };
    Some(Some(Bound { value: decode(value)?, unique, excluded }))
}

fn max(text: &str) -> Result<usize, RuleError> {
    text.parse().ok().filter(|max| (1..=LARGEST_PAGE).contains(max)).ok_or_else(|| {
        RuleError::new(format!(
            "The max \"{}\" of a Range is not a number from 1 to {LARGEST_PAGE}.",
            shown(text)
        ))
    })
}

fn malformed(text: &str) -> RuleError {
    RuleError::new(format!(
        "The Range \"{}\" cannot be read; send, for example, \"id ..; max=10, order=desc\".",
        shown(text)
    ))
}

/// Percent-encodes what has a meaning in the header, or no place in one.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let plain = c.is_ascii_alphanumeric() || "-_:/@+".contains(c);
        // A lone point between others stays, as in a time or a version.
        let lone = c == '.' && !encoded.is_empty() && !encoded.ends_with('.') && rest.len() > 1;
        let (taken, after) = rest.split_at(c.len_utf8());
        if plain || (lone && !after.starts_with('.')) {
            encoded.push(c);
        } else {
            for byte in taken.bytes() {
                // Writing to a String cannot fail.
                let _: std::fmt::Result = write!(encoded, "%{byte:02X}");
            }
        }
        rest = after;
    }
    encoded
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return String::from_utf8(bytes).ok(),
            [b'%', high, low, after @ ..] => {
                let digit =
                    |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(*high)? * 16 + digit(*low)?);
                after
            }
            [b'%', ..] => return None,
            [byte, after @ ..] => {
                bytes.push(*byte);
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn heroku_s_examples_are_read() {
        let read = |text| Range::parse(text).unwrap().unwrap();
        assert_eq!(read("id ..; max=10;").max, 10);
        assert_eq!(read("name ..; order=desc,max=10;").order, Some(Order::Descending));
        let range = read("name ]my-app..z[; max=200");
        let first = Bound { value: "my-app".to_owned(), unique: None, excluded: true };
        let last = Bound { value: "z".to_owned(), unique: None, excluded: true };
        assert_eq!((range.property.as_str(), range.first, range.last), ("name", Some(first), Some(last)));
        assert_eq!(read("id a..").max, LARGEST_PAGE);
    }

    #[test]
    fn a_range_of_another_unit_is_none_of_ours() {
        assert_eq!(Range::parse("bytes=0-10"), Ok(None));
        assert_eq!(Range::parse("items=0-"), Ok(None));
    }

    #[test]
    fn a_malformed_range_is_refused() {
        for text in [
            "",
            "id",
            "id a",
            "id ..; max=0",
            "id ..; max=1001",
            "id ..; max=x",
            "id ..; order=up",
            "id ..; x",
            "id ]..",
            "id ..[",
            "id %..",
            "id %ff..",
            "id ..; min=1",
        ] {
            assert!(Range::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_range_that_is_written_is_read_as_it_was(
            value in ".{1,12}", unique in proptest::option::of(".{1,12}"), excluded: bool, max in 1..=LARGEST_PAGE
        ) {
            let bound = Bound { value, unique, excluded };
            let range = Range {
                property: "name".to_owned(), first: Some(bound.clone()), last: Some(bound), max,
                order: Some(Order::Descending),
            };
            prop_assert_eq!(Range::parse(&range.to_string()), Ok(Some(range)));
        }

        #[test]
        fn no_header_is_a_panic(text in ".{0,40}") {
            drop(Range::parse(&text));
        }
    }
}
