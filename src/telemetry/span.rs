//! One piece of work that was done, as a trace shows it.

use std::time::Duration;

use crate::model::time::Timestamp;
use crate::model::trace::Traced;

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub traced: Traced,
    /// Few different ones: what is particular goes into the attributes.
    pub name: String,
    pub kind: SpanKind,
    pub ended_at: Timestamp,
    pub took: Duration,
    /// Names of OpenTelemetry's conventions where there are any.
    pub attributes: Vec<(&'static str, AttributeValue)>,
    /// Why it did not succeed; no secret.
    pub failure: Option<String>,
}

/// On which side of a call a span was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    Internal,
    Server,
    Client,
}

/// What an attribute holds.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    Text(String),
    Number(u64),
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u16> for AttributeValue {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<u32> for AttributeValue {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}
