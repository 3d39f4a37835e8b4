//! Text forms of durations, sizes, counts, addresses and switches.

use std::time::Duration;

/// `20m`, `60s`, `1h 30m`, `500ms`; not negative, at most a week.
pub fn duration(text: &str) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_hours(24 * 7);
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let signed: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(signed).ok().filter(|duration| *duration <= LONGEST)
}

/// A duration above zero.
pub(super) fn positive_duration(text: &str) -> Option<Duration> {
    duration(text).filter(|duration| !duration.is_zero())
}

/// `256 MiB`, `1GiB`, `512 KiB`, `100 B`; above zero.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.trim() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0)
}

/// A whole number from 0 to `most`.
pub(super) fn count(text: &str, most: usize) -> Option<usize> {
    text.parse().ok().filter(|number| *number <= most)
}

/// A whole number from 1 to `most`.
pub(super) fn positive_count(text: &str, most: usize) -> Option<usize> {
    count(text, most).filter(|number| *number > 0)
}

/// The address of a web server, without user, password and query; comes without a slash at its end.
pub(super) fn web_address(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let uri: http::Uri = text.parse().ok()?;
    let usable = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.query().is_none()
        && !text.contains('@');
    usable.then(|| text.to_owned())
}

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Option<bool> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(duration("20m"), Some(Duration::from_mins(20)));
        assert_eq!(duration("1h 30m"), Some(Duration::from_mins(90)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        for wrong in ["", "20", "-5s", "5 parsecs", "s", "2w", "5s ago"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(positive_duration("0s"), None);
    }

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(bytes("256 MiB"), Some(256 << 20));
        assert_eq!(bytes("1GiB"), Some(1 << 30));
        for wrong in ["", "256", "0 MiB", "1 MB", "-1 MiB", "MiB", "99999999999999 GiB"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,40}") {
            let read = (duration(&text), bytes(&text), count(&text, 10), switch(&text));
            prop_assert!(read.2.is_none_or(|number| number <= 10));
        }

        #[test]
        fn a_size_in_mebibytes_is_that_many(number in 1_u64..1_000_000) {
            prop_assert_eq!(bytes(&format!("{number} MiB")), Some(number << 20));
        }
    }
}
