//! A client of a daemon's own API, for commands that work through it.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

use super::{CONNECT_TIMEOUT, OutboundError, transport};

/// How long an answer may take from the first byte of its request to its last one.
const ANSWER_LIMIT: Duration = Duration::from_mins(5);
/// Bytes of a line; what is longer comes in pieces.
const LONGEST_LINE: usize = 64 * 1024;

/// Sends requests with a token to one API.
#[derive(Clone)]
pub struct ApiClient {
    client: Client,
    base: String,
    token: String,
}

/// Why the API did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ApiClientError {
    #[error("{base} does not answer: {source}")]
    Unreachable { base: String, source: OutboundError },
    /// With the API's own words.
    #[error("{message}")]
    Refused { status: u16, message: String },
    #[error("{base} answers what no akkerisd does; is its address right?")]
    Stranger { base: String },
}

/// The lines of an answer, as they come.
pub struct Lines {
    response: Response,
    rest: Vec<u8>,
}

impl ApiClient {
    /// A client of the API at `base`, `http://127.0.0.1:5000`.
    pub fn new(base: &str, token: String) -> Result<Self, OutboundError> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .referer(false)
            .user_agent(concat!("akkerisd/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(transport)?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), token })
    }

    /// What is at a path.
    pub async fn get(&self, path: &str) -> Result<Value, ApiClientError> {
        self.answer(self.request(Method::GET, path)).await
    }

    /// What a POST is answered with.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiClientError> {
        self.answer(self.request(Method::POST, path).body(body.to_string())).await
    }

    /// The lines at a path, for as long as they come.
    pub async fn lines(&self, path: &str) -> Result<Lines, ApiClientError> {
        let response = self.request(Method::GET, path).send().await;
        let response = response.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(Lines { response, rest: Vec::new() });
        }
        Err(self.refusal(response).await)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value, ApiClientError> {
        let response = request.timeout(ANSWER_LIMIT).send().await;
        let response = response.map_err(|error| self.unreachable(error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let body = response.bytes().await.map_err(|error| self.unreachable(error))?;
        serde_json::from_slice(&body).map_err(|_| ApiClientError::Stranger { base: self.base.clone() })
    }

    async fn refusal(&self, response: Response) -> ApiClientError {
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap_or_default();
        let body: Option<Value> = serde_json::from_slice(&body).ok();
        let message = body.as_ref().and_then(|body| body.get("message")).and_then(Value::as_str);
        match message {
            Some(message) => ApiClientError::Refused { status, message: message.to_owned() },
            None => ApiClientError::Stranger { base: self.base.clone() },
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> ApiClientError {
        ApiClientError::Unreachable { base: self.base.clone(), source: transport(error) }
    }
}

impl std::fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiClient").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Lines {
    /// The next line; `None` when the answer has ended or broke off. Cancel-safe.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let end = self.rest.iter().position(|byte| *byte == b'\n');
            if let Some(end) = end.or_else(|| (self.rest.len() > LONGEST_LINE).then_some(LONGEST_LINE)) {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.rest.extend_from_slice(&chunk);
        }
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lines")
    }
}
