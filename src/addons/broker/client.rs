//! Requests to one broker, and its answers as they came.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde::Serialize;
use serde_json::Value;

use super::Action;
use super::answer::Reply;
use crate::model::addon_service::BrokerName;
use crate::outbound::{Answer, Outbound, OutboundError, PostLimits};

/// The version of the specification that is spoken.
const VERSION: &str = "2.17";
/// What one request may take; the specification has brokers answer within a minute.
const LIMITS: PostLimits = PostLimits { total: Duration::from_mins(1), body: 256 * 1024 };
/// Bytes of a catalogue.
const CATALOGUE_LIMIT: usize = 4 * 1024 * 1024;
/// The longest pause that a broker can ask for.
const LONGEST_RETRY: Duration = Duration::from_hours(1);

/// Where a broker is, and what it wants to be shown.
#[derive(Clone)]
pub struct BrokerAddress {
    pub name: BrokerName,
    /// `http://` or `https://`, without a slash at the end.
    pub url: String,
    /// The value of `Authorization`; `None` when it asks for none. `Debug` does not show it.
    pub authorization: Option<String>,
}

/// Sends requests to one broker.
#[derive(Debug, Clone)]
pub struct BrokerClient {
    address: BrokerAddress,
    outbound: Outbound,
    limits: PostLimits,
}

impl BrokerAddress {
    /// The value of `Authorization` for a user and a password.
    pub fn basic(user: &str, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    }
}

impl std::fmt::Debug for BrokerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerAddress").field("name", &self.name).finish_non_exhaustive()
    }
}

impl BrokerClient {
    /// Sends through `outbound`.
    pub fn new(address: BrokerAddress, outbound: Outbound) -> Self {
        Self { address, outbound, limits: LIMITS }
    }

    /// With another limit of what one request may take.
    #[must_use]
    pub fn within(mut self, total: Duration) -> Self {
        self.limits.total = total;
        self
    }

    /// The broker's name.
    pub fn name(&self) -> &BrokerName {
        &self.address.name
    }

    pub(super) async fn get(&self, path: &str) -> Result<Reply, OutboundError> {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Reply, OutboundError> {
        self.send(Method::DELETE, path, None).await
    }

    pub(super) async fn put<T: Serialize>(&self, path: &str, body: &T) -> Result<Reply, OutboundError> {
        self.send(Method::PUT, path, Some(serde_json::json!(body).to_string())).await
    }

    pub(super) async fn patch<T: Serialize>(&self, path: &str, body: &T) -> Result<Reply, OutboundError> {
        self.send(Method::PATCH, path, Some(serde_json::json!(body).to_string())).await
    }

    pub(super) async fn pass_on(&self, path: &str, action: &Action) -> Result<Reply, OutboundError> {
        let body = String::from_utf8_lossy(&action.body).into_owned();
        self.send(action.method.clone(), path, Some(body).filter(|body| !body.is_empty())).await
    }

    /// The catalogue in the broker's own words.
    pub(super) async fn catalogue(&self) -> Result<String, String> {
        let limits = PostLimits { body: CATALOGUE_LIMIT, ..self.limits };
        let answer = self.answer((Method::GET, "/v2/catalog"), None, limits).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(Reply::of(&answer).complaint());
        }
        String::from_utf8(answer.body).map_err(|_| "the catalogue is no text".to_owned())
    }

    async fn send(&self, method: Method, path: &str, body: Option<String>) -> Result<Reply, OutboundError> {
        let answer = self.answer((method, path), body, self.limits).await?;
        let mut reply = Reply::of(&answer);
        reply.retry_after = retry_after(&answer.headers);
        Ok(reply)
    }

    async fn answer(
        &self,
        (method, path): (Method, &str),
        body: Option<String>,
        limits: PostLimits,
    ) -> Result<Answer, OutboundError> {
        let mut headers =
            vec![("x-broker-api-version", VERSION.to_owned()), ("accept", "application/json".to_owned())];
        if let Some(authorization) = &self.address.authorization {
            headers.push(("authorization", authorization.clone()));
        }
        if body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        let url = format!("{}{path}", self.address.url);
        self.outbound.send((method, &url), &headers, body, limits).await
    }
}

fn retry_after(headers: &BTreeMap<String, String>) -> Option<Duration> {
    let seconds: u64 = headers.get("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY))
}

impl Reply {
    fn of(answer: &Answer) -> Self {
        let json = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        Self { status: answer.status, json, retry_after: None }
    }
}
