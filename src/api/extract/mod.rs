//! What handlers take from a request: its app, its path, query and body.

mod body;
mod path;

pub(super) use self::body::{Json, JsonArray, LargeJson};
pub(super) use self::path::{AppPath, Path, Query, parse_id};

use super::Error;
use crate::service;

/// 400 with a sentence.
fn bad(message: String) -> Error {
    service::Error::BadRequest(message).into()
}
