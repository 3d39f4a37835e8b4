//! Instants, in whole milliseconds since 1970, UTC.

use std::time::Duration;

/// An instant as it is stored (milliseconds) and sent (RFC 3339 with milliseconds, `behaviour.md` §1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant plus a duration, saturating at the end of time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This instant less a duration, saturating at the beginning of time.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to this instant; zero when `earlier` is later (clocks jump).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// With second precision (`2016-09-27T16:27:20Z`), the form of a dyno's times.
    pub fn to_seconds_text(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%SZ")
    }

    /// The form of HTTP's dates, `Tue, 27 Sep 2016 16:27:20 GMT` (RFC 9110 §5.6.7).
    pub fn to_http_date(self) -> String {
        self.format("%a, %d %b %Y %H:%M:%S GMT")
    }

    /// `2016-07-18T14:55:38.190Z`, digit by digit: lists hold thousands of instants. `None` outside the years
    /// 0 to 9999.
    fn digits(self) -> Option<[u8; 24]> {
        let instant = jiff::Timestamp::from_millisecond(self.0).ok()?;
        let date_time = jiff::tz::Offset::UTC.to_datetime(instant);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut write = |end: usize, value: u32| {
            let mut rest = value;
            for digit in text.get_mut(..end).into_iter().flatten().rev() {
                if rest == 0 {
                    break;
                }
                *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
                rest /= 10;
            }
        };
        write(4, u32::try_from(date_time.year()).ok()?);
        write(7, u32::try_from(date_time.month()).ok()?);
        write(10, u32::try_from(date_time.day()).ok()?);
        write(13, u32::try_from(date_time.hour()).ok()?);
        write(16, u32::try_from(date_time.minute()).ok()?);
        write(19, u32::try_from(date_time.second()).ok()?);
        write(23, u32::try_from(date_time.millisecond()).ok()?);
        Some(text)
    }

    fn format(self, pattern: &str) -> String {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        instant.strftime(pattern).to_string()
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.digits().as_ref().map(|digits| std::str::from_utf8(digits)) {
            Some(Ok(text)) => f.write_str(text),
            Some(Err(_)) | None => f.write_str(&self.format("%Y-%m-%dT%H:%M:%S.%3fZ")),
        }
    }
}

/// Reads RFC 3339; what is finer than a millisecond is cut off.
impl std::str::FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        Ok(Self(text.parse::<jiff::Timestamp>()?.as_millisecond()))
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.digits().as_ref().map(|digits| std::str::from_utf8(digits)) {
            Some(Ok(text)) => serializer.serialize_str(text),
            Some(Err(_)) | None => serializer.collect_str(self),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let instant: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(instant.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_milliseconds_and_seconds() {
        let instant = Timestamp::from_millis(1_468_853_738_190);
        assert_eq!(instant.to_string(), "2016-07-18T14:55:38.190Z");
        assert_eq!(instant.to_seconds_text(), "2016-07-18T14:55:38Z");
        assert_eq!(instant.to_string().parse::<Timestamp>().unwrap(), instant);
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_827_696_007, "2000-02-29T12:34:56.007Z"),
            (253_402_207_199_999, "9999-12-30T21:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
            assert_eq!(serde_json::to_value(Timestamp::from_millis(millis)).unwrap(), text);
        }
    }
}
