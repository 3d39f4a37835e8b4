//! Lists, a page at a time: what a list may be paged by, and the answer with its headers.
//!
//! Invariant: a list without the header `Range` is whole and in its own order, up to [`LARGEST_PAGE`] items. What
//! is left out is always told, by 206 and `Next-Range`.

use std::cmp::Ordering;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use uuid::Uuid;

use super::Error;
use super::extract::Json;
use super::range::{Bound, LARGEST_PAGE, Order, Range};
use crate::model::RuleError;
use crate::model::rule::shown;
use crate::model::time::Timestamp;

/// An item of a list that can be paged.
pub(super) trait Listed: Sized + 'static {
    /// What the list may be paged by. The first is its own order, as far as it has one; the last is unique.
    const PROPERTIES: &'static [Property<Self>];
    /// The direction of the list when nobody asks for one.
    const ORDER: Order = Order::Ascending;
}

/// A property that a list may be paged by: its name, and how an item shows it.
pub(super) enum Property<T> {
    Id(fn(&T) -> Uuid),
    Number(&'static str, fn(&T) -> i64),
    Text(&'static str, fn(&T) -> &str),
    Time(&'static str, fn(&T) -> Timestamp),
}

/// The header `Range` of a request, as yet unread.
#[derive(Debug)]
pub(super) struct Paging(Option<HeaderValue>);

/// A part of a list, or all of it.
#[derive(Debug)]
pub(super) struct Page<T> {
    items: Vec<T>,
    accepted: String,
    content_range: Option<String>,
    /// What to ask for to get the items after these.
    next_range: Option<String>,
}

/// Travels to [`tell`]: compression takes these headers for those of a range of bytes, and would leave out either
/// them or itself.
#[derive(Debug, Clone)]
pub(super) struct RangeHeaders(pub(super) HeaderMap);

const NEXT_RANGE: HeaderName = HeaderName::from_static("next-range");

/// A value of a property; those of one property are of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Text(String),
    Time(Timestamp),
}

/// Where an item stands in the order of a property.
type Position = (Key, Key);

/// A bound of which the values are read.
struct Limit {
    key: Key,
    unique: Option<Key>,
    excluded: bool,
}

/// Gives an answer the headers of its range; to be done after compression.
pub(super) fn tell<B>(mut response: http::Response<B>) -> http::Response<B> {
    if let Some(RangeHeaders(headers)) = response.extensions_mut().remove() {
        response.headers_mut().extend(headers);
    }
    response
}

impl Paging {
    /// The part of the list that the request asks for.
    pub(super) fn page<T: Listed>(self, items: Vec<T>) -> Result<Page<T>, Error> {
        let refused =
            |reason: RuleError| Error::Range { reason: reason.to_string(), accepted: accepted::<T>() };
        let asked = match self.0.as_ref().map(HeaderValue::to_str) {
            None => None,
            Some(Ok(text)) => Range::parse(text).map_err(refused)?,
            Some(Err(_)) => return Err(refused(RuleError::new("The Range is not of ASCII characters."))),
        };
        match asked {
            Some(range) => select(items, &range).map_err(refused),
            None if items.len() <= LARGEST_PAGE => whole(items).map_err(refused),
            None => {
                let property = own::<T>().map_err(refused)?.name().to_owned();
                let range = Range { property, first: None, last: None, max: LARGEST_PAGE, order: None };
                select(items, &range).map_err(refused)
            }
        }
    }

    /// Whether the request asks for a part.
    pub(super) fn is_asked(&self) -> bool {
        self.0.is_some()
    }
}

impl<T> Page<T> {
    /// The same page with its items in another form.
    pub(super) fn map<U>(self, view: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(view).collect(),
            accepted: self.accepted,
            content_range: self.content_range,
            next_range: self.next_range,
        }
    }
}

impl<T> Property<T> {
    fn name(&self) -> &'static str {
        match self {
            Self::Id(_) => "id",
            Self::Number(name, _) | Self::Text(name, _) | Self::Time(name, _) => name,
        }
    }

    fn key(&self, item: &T) -> Key {
        match self {
            Self::Id(get) => Key::Text(get(item).to_string()),
            Self::Number(_, get) => Key::Number(get(item)),
            Self::Text(_, get) => Key::Text(get(item).to_owned()),
            Self::Time(_, get) => Key::Time(get(item)),
        }
    }

    /// As the keys compare, without making them: lists hold thousands of items.
    fn compare(&self, a: &T, b: &T) -> Ordering {
        match self {
            Self::Id(get) => get(a).cmp(&get(b)),
            Self::Number(_, get) => get(a).cmp(&get(b)),
            Self::Text(_, get) => get(a).cmp(get(b)),
            Self::Time(_, get) => get(a).cmp(&get(b)),
        }
    }

    fn read(&self, text: &str) -> Result<Key, RuleError> {
        let wrong = |kind: &str| {
            let name = self.name();
            RuleError::new(format!("The {name} \"{}\" of the Range is not {kind}.", shown(text)))
        };
        match self {
            // The start of an id is as good a bound as a whole one.
            Self::Id(_) => Ok(Key::Text(text.to_ascii_lowercase())),
            Self::Text(..) => Ok(Key::Text(text.to_owned())),
            Self::Number(..) => text.parse().map(Key::Number).map_err(|_| wrong("a number")),
            Self::Time(..) => {
                text.parse().map(Key::Time).map_err(|_| wrong("a time such as 2026-11-21T12:00:00Z"))
            }
        }
    }
}

impl Limit {
    fn read<T>(bound: &Bound, property: &Property<T>, last: &Property<T>) -> Result<Self, RuleError> {
        let unique = bound.unique.as_deref().map(|text| last.read(text)).transpose()?;
        Ok(Self { key: property.read(&bound.value)?, unique, excluded: bound.excluded })
    }

    /// On which side of this limit a position is.
    fn compare(&self, (key, unique): &Position) -> Ordering {
        let tie = || self.unique.as_ref().map_or(Ordering::Equal, |own| unique.cmp(own));
        key.cmp(&self.key).then_with(tie)
    }
}

/// The first items of the range, in its order.
fn select<T: Listed>(items: Vec<T>, range: &Range) -> Result<Page<T>, RuleError> {
    let property =
        T::PROPERTIES.iter().find(|property| property.name() == range.property).ok_or_else(|| {
            let (name, known) = (shown(&range.property), accepted::<T>());
            RuleError::new(format!("This list has no pages by \"{name}\", but by: {known}."))
        })?;
    let unique = unique::<T>()?;
    let first = range.first.as_ref().map(|bound| Limit::read(bound, property, unique)).transpose()?;
    let last = range.last.as_ref().map(|bound| Limit::read(bound, property, unique)).transpose()?;
    if let (Some(first), Some(last)) = (&first, &last)
        && first.key > last.key
    {
        return Err(RuleError::new(format!("The Range \"{range}\" ends before it begins.")));
    }
    let order = range.order.unwrap_or(T::ORDER);
    let beyond = |limit: &Option<Limit>, position: &Position, outside: Ordering| {
        limit.as_ref().is_some_and(|limit| match limit.compare(position) {
            Ordering::Equal => limit.excluded,
            side @ (Ordering::Less | Ordering::Greater) => side == outside,
        })
    };
    let mut found: Vec<(Position, T)> = items
        .into_iter()
        .map(|item| ((property.key(&item), unique.key(&item)), item))
        .filter(|(at, _)| !beyond(&first, at, Ordering::Less) && !beyond(&last, at, Ordering::Greater))
        .collect();
    found.sort_by(|(a, _), (b, _)| order.apply(a.cmp(b)));
    let truncated = found.len() > range.max;
    found.truncate(range.max);
    let next = found.last().filter(|_| truncated).map(|(at, _)| {
        let reached = Some(bound(at, true));
        let mut next = Range { order: Some(order), ..range.clone() };
        match order {
            Order::Ascending => next.first = reached,
            Order::Descending => next.last = reached,
        }
        next.to_string()
    });
    let ends = found.first().zip(found.last()).map(|((a, _), (b, _))| (a.min(b).clone(), a.max(b).clone()));
    Ok(Page {
        items: found.into_iter().map(|(_, item)| item).collect(),
        accepted: accepted::<T>(),
        content_range: ends.map(|ends| content_range(property, &ends)),
        next_range: next,
    })
}

/// The list as it is.
fn whole<T: Listed>(items: Vec<T>) -> Result<Page<T>, RuleError> {
    let (property, unique) = (own::<T>()?, unique::<T>()?);
    let order = |a: &&T, b: &&T| property.compare(a, b).then_with(|| unique.compare(a, b));
    let position = |item: &T| (property.key(item), unique.key(item));
    let ends = items.iter().min_by(order).zip(items.iter().max_by(order));
    let content_range = ends.map(|(low, high)| content_range(property, &(position(low), position(high))));
    Ok(Page { items, accepted: accepted::<T>(), content_range, next_range: None })
}

fn content_range<T>(property: &Property<T>, (low, high): &(Position, Position)) -> String {
    format!("{} {}..{}", property.name(), bound(low, false), bound(high, false))
}

fn bound((key, unique): &Position, excluded: bool) -> Bound {
    Bound { value: key.to_string(), unique: (key != unique).then(|| unique.to_string()), excluded }
}

fn accepted<T: Listed>() -> String {
    T::PROPERTIES.iter().map(Property::name).collect::<Vec<_>>().join(", ")
}

fn own<T: Listed>() -> Result<&'static Property<T>, RuleError> {
    T::PROPERTIES.first().ok_or_else(|| RuleError::new("This list has no pages."))
}

fn unique<T: Listed>() -> Result<&'static Property<T>, RuleError> {
    T::PROPERTIES.last().ok_or_else(|| RuleError::new("This list has no pages."))
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Paging {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.get(header::RANGE).cloned()))
    }
}

/// 206 when items are left out, else 200.
impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        let status = if self.next_range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let mut response = (status, Json(self.items)).into_response();
        let told = [
            (header::ACCEPT_RANGES, Some(self.accepted)),
            (header::CONTENT_RANGE, self.content_range),
            (NEXT_RANGE, self.next_range),
        ];
        let told = told.into_iter().filter_map(|(name, text)| Some((name, text?.parse().ok()?)));
        response.extensions_mut().insert(RangeHeaders(told.collect()));
        response
    }
}
