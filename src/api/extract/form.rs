//! Form bodies, which OAuth 2 speaks.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::body::{SMALL_BODY, SMALL_BODY_DEADLINE, read_body};
use crate::api::{ApiState, Error};

/// The fields of `application/x-www-form-urlencoded`, or those of a JSON object, of at most 1 MiB; or what is
/// wrong with them, which each operation says in a form of its own.
#[derive(Debug)]
pub(in crate::api) struct Form<T>(pub(in crate::api) Result<T, String>);

impl<T: DeserializeOwned> FromRequest<ApiState> for Form<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &ApiState) -> Result<Self, Error> {
        let bytes = read_body(request, SMALL_BODY, SMALL_BODY_DEADLINE).await?;
        let fields = if bytes.first() == Some(&b'{') {
            serde_json::from_slice(&bytes).map_err(|error| error.to_string())
        } else {
            serde_urlencoded::from_bytes(&bytes).map_err(|error| error.to_string())
        };
        // The text of the parser may repeat a secret.
        let wrong = "The body is neither a form nor a JSON object of texts, or has a field twice.";
        Ok(Self(fields.map_err(|_| wrong.to_owned())))
    }
}
