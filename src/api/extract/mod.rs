//! What handlers take from a request: its app, its path, query and body.

mod address;
mod body;
mod form;
mod path;

pub(super) use self::address::ClientAddress;
pub(super) use self::body::{Json, JsonArray, LargeJson, OptionalJson, SignedBody, StrictJson};
pub(super) use self::form::Form;
pub(super) use self::path::{AppPath, Path, Query, parse_id};

use super::Error;
use crate::service;

/// 400 with a sentence.
fn bad(message: String) -> Error {
    service::Error::BadRequest(message).into()
}
