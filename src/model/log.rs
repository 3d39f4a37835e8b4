//! One line of a log: whose log it is, where the line came from, and how it is written as text.
//!
//! Invariant: the text of a line holds no line break and no NUL, so that it is one line wherever it is written.

use std::borrow::Cow;
use std::fmt;

use super::ids::{AppId, SiteId};
use super::names::{AppKey, DynoName, ProcessType};
use super::time::Timestamp;

/// Longest text of a line, in bytes; a longer line becomes several.
pub const TEXT_LIMIT: usize = 64 * 1024;

/// Whose log it is: an app's holds everything about it, a site's the router lines of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogOwner {
    App(AppId),
    Site(SiteId),
}

/// A line of a log. Its owner is known from where the line is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub at: Timestamp,
    pub source: LogSource,
    pub part: Part,
    text: String,
}

/// Who wrote a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    Dyno {
        process_type: ProcessType,
        dyno: DynoName,
        stream: OutputStream,
    },
    Build,
    /// The edge: a line for each request.
    Router,
    /// The platform: releases, scaling, restarts, crashes, and what was lost of the log itself.
    Controller,
}

crate::text_enum! {
    /// The kinds of sources, as a reader of a log chooses among them.
    pub enum SourceKind {
        App => "app",
        Build => "build",
        Router => "router",
        Controller => "controller",
    }
}

/// Which of its two outputs a dyno wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    Stdout,
    Stderr,
}

/// Whether a line is whole, or which piece of one that was longer than [`TEXT_LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    First,
    Middle,
    Last,
}

/// The lines that a reader wants; all of them by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    pub kind: Option<SourceKind>,
    pub dyno: Option<DynoFilter>,
}

/// Dynos by their type (`web`), by their name (`1562910588-cg82f`), or by both (`web.1562910588-cg82f`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynoFilter(String);

/// A line as text, from [`LogLine::shown`].
#[derive(Debug, Clone, Copy)]
pub struct ShownLine<'a> {
    line: &'a LogLine,
    key: &'a AppKey,
}

impl From<AppId> for LogOwner {
    fn from(app: AppId) -> Self {
        Self::App(app)
    }
}

impl From<SiteId> for LogOwner {
    fn from(site: SiteId) -> Self {
        Self::Site(site)
    }
}

/// A text with spaces in place of its line breaks and NULs.
pub fn one_line(text: &str) -> Cow<'_, str> {
    // Looked for many bytes at a time, since each line comes by here.
    match memchr::memchr3(b'\n', b'\r', b'\0', text.as_bytes()) {
        Some(_) => Cow::Owned(text.replace(['\n', '\r', '\0'], " ")),
        None => Cow::Borrowed(text),
    }
}

impl LogLine {
    /// A whole line; line breaks and NULs within it become spaces.
    pub fn new(at: Timestamp, source: LogSource, text: impl Into<String>) -> Self {
        Self::piece(at, source, Part::Whole, text)
    }

    /// A line, or a piece of one; line breaks and NULs within it become spaces.
    pub fn piece(at: Timestamp, source: LogSource, part: Part, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if let Cow::Owned(changed) = one_line(&text) {
            text = changed;
        }
        Self { at, source, part, text }
    }

    /// What was written, without the marks of its part.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line as clients read it, without a line end:
    /// `2026-01-01T00:00:00.123Z api-default app[web.1562910588-cg82f]: hi` (`behaviour.md` §10). An ellipsis stands
    /// where a piece of a long line was cut.
    pub fn shown<'a>(&'a self, key: &'a AppKey) -> ShownLine<'a> {
        ShownLine { line: self, key }
    }
}

impl LogSource {
    /// Its kind.
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::Dyno { .. } => SourceKind::App,
            Self::Build => SourceKind::Build,
            Self::Router => SourceKind::Router,
            Self::Controller => SourceKind::Controller,
        }
    }

    /// The tag of a drain's message: `web.1562910588-cg82f`, `akkeris/router` (`behaviour.md` §20).
    pub fn tag(&self) -> String {
        match self {
            Self::Dyno { process_type, dyno, .. } => format!("{process_type}.{dyno}"),
            Self::Build | Self::Router | Self::Controller => self.to_string(),
        }
    }
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyno { process_type, dyno, .. } => write!(f, "app[{process_type}.{dyno}]"),
            Self::Build => f.write_str("akkeris/build"),
            Self::Router => f.write_str("akkeris/router"),
            Self::Controller => f.write_str("akkeris/controller"),
        }
    }
}

impl fmt::Display for ShownLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogLine { at, source, part, text } = self.line;
        let (before, after) = part.marks();
        write!(f, "{at} {} {source}: {before}{text}{after}", self.key)
    }
}

impl Part {
    /// What stands before and after the text of such a piece.
    pub const fn marks(self) -> (&'static str, &'static str) {
        match self {
            Self::Whole => ("", ""),
            Self::First => ("", "…"),
            Self::Middle => ("…", "…"),
            Self::Last => ("…", ""),
        }
    }
}

impl LogFilter {
    /// Whether a line from this source is wanted.
    pub fn wants(&self, source: &LogSource) -> bool {
        self.kind.is_none_or(|kind| kind == source.kind())
            && self.dyno.as_ref().is_none_or(|dyno| dyno.names(source))
    }

    /// Whether every line is wanted.
    pub fn is_empty(&self) -> bool {
        self.kind.is_none() && self.dyno.is_none()
    }
}

impl DynoFilter {
    /// Takes a type, a name or both; one that names no dyno finds nothing.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_ascii_lowercase())
    }

    fn names(&self, source: &LogSource) -> bool {
        let LogSource::Dyno { process_type, dyno, .. } = source else { return false };
        self.0 == process_type.as_str() || self.0 == dyno.as_str() || self.0 == source.tag()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> LogSource {
        LogSource::Dyno {
            process_type: ProcessType::web(),
            dyno: DynoName::from_stored("1562910588-cg82f".to_owned()),
            stream: OutputStream::Stdout,
        }
    }

    #[test]
    fn a_line_reads_as_the_client_expects_it() {
        let key = AppKey::from_stored("api-default".to_owned());
        let at = Timestamp::from_millis(1_767_225_600_123);
        let shown = |source, part| LogLine::piece(at, source, part, "a\r\nb").shown(&key).to_string();
        assert_eq!(
            shown(web(), Part::Whole),
            "2026-01-01T00:00:00.123Z api-default app[web.1562910588-cg82f]: a  b"
        );
        assert_eq!(
            shown(LogSource::Router, Part::Middle),
            "2026-01-01T00:00:00.123Z api-default akkeris/router: …a  b…"
        );
    }

    #[test]
    fn a_filter_wants_a_kind_and_a_dyno() {
        let filter = |kind, dyno: Option<&str>| LogFilter { kind, dyno: dyno.map(DynoFilter::new) };
        assert!(LogFilter::default().wants(&LogSource::Router));
        assert!(filter(Some(SourceKind::Router), None).wants(&LogSource::Router));
        assert!(!filter(Some(SourceKind::App), None).wants(&LogSource::Router));
        for dyno in ["web", "1562910588-cg82f", "WEB.1562910588-cg82f"] {
            assert!(filter(None, Some(dyno)).wants(&web()), "{dyno}");
        }
        assert!(!filter(None, Some("worker")).wants(&web()));
        assert!(!filter(None, Some("web")).wants(&LogSource::Router));
    }
}
