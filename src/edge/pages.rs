//! The texts that the edge answers with itself: one page for each kind, as HTML, JSON or plain text.
//!
//! Invariant: the pages are part of the binary, so an error can be shown whatever is missing on disk.

use bytes::Bytes;
use http::HeaderValue;

/// What an answer of the edge says.
#[derive(Debug)]
pub(super) struct Page {
    html: &'static str,
    json: &'static str,
    text: &'static str,
}

/// The forms that a client can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    Json,
    Text,
}

macro_rules! page {
    ($file:literal, $message:literal) => {
        Page {
            html: concat!(
                include_str!("../../assets/pages/top.html"),
                include_str!(concat!("../../assets/pages/", $file, ".html"))
            ),
            json: concat!("{\"id\":\"", $file, "\",\"message\":\"", $message, "\"}"),
            text: concat!($message, "\n"),
        }
    };
}

pub(super) static BAD_REQUEST: Page =
    page!("bad_request", "The request's host name is missing or not valid, or its method is not supported.");
pub(super) static BAD_HEADER: Page =
    page!("bad_header", "A header of the request begins or ends with white space.");
pub(super) static BAD_BODY: Page =
    page!("bad_body", "The body of the request is not well formed, or was broken off.");
pub(super) static BODY_TOO_LARGE: Page =
    page!("body_too_large", "The body of the request is larger than this app takes.");
pub(super) static CLIENT_IDLE: Page = page!("client_idle", "The rest of the request did not come in time.");
pub(super) static UNKNOWN_HOST: Page = page!("unknown_host", "There is no app at this address.");
pub(super) static MISDIRECTED: Page =
    page!("misdirected", "The request is for another host than the connection it came on.");
pub(super) static AMBIGUOUS_PATH: Page = page!(
    "ambiguous_path",
    "The path can be read in several ways; send it without dot segments and encodings."
);
pub(super) static URI_TOO_LONG: Page = page!("uri_too_long", "The address is longer than 8 KiB.");
pub(super) static NO_ROUTE: Page = page!("no_route", "No app of this site answers at this path.");
pub(super) static NO_UPSTREAM: Page = page!("no_upstream", "No dyno of this app is ready to answer.");
pub(super) static BACKLOG: Page =
    page!("backlog", "Too many requests wait for this app; try again in a moment.");
pub(super) static MAINTENANCE: Page = page!("maintenance", "This app is in maintenance.");
pub(super) static BAD_GATEWAY: Page = page!("bad_gateway", "The app did not answer properly.");
pub(super) static TIMEOUT: Page = page!("timeout", "The app took too long to answer.");
pub(super) static UNAUTHORIZED: Page =
    page!("unauthorized", "This app asks for credentials, and the request has none that are valid.");
pub(super) static FORBIDDEN: Page = page!("forbidden", "This app is not open to your address.");
pub(super) static TOO_MANY_REQUESTS: Page =
    page!("too_many_requests", "You send more requests than this app takes.");
pub(super) static NO_KEYS: Page =
    page!("no_keys", "The keys that tokens for this app are signed with could not be had yet.");

impl Page {
    pub(super) fn content(&self, form: Form) -> Bytes {
        Bytes::from_static(match form {
            Form::Html => self.html.as_bytes(),
            Form::Json => self.json.as_bytes(),
            Form::Text => self.text.as_bytes(),
        })
    }
}

impl Form {
    /// The first form in an `Accept` header that the edge knows; plain text when there is none.
    pub(super) fn of(accept: Option<&HeaderValue>) -> Self {
        let accepted = accept.and_then(|value| value.to_str().ok()).unwrap_or("");
        for range in accepted.split(',') {
            match range.split(';').next().unwrap_or("").trim() {
                "text/html" | "application/xhtml+xml" => return Self::Html,
                "text/plain" => return Self::Text,
                json if json == "application/json"
                    || (json.starts_with("application/") && json.ends_with("+json")) =>
                {
                    return Self::Json;
                }
                _ => {}
            }
        }
        Self::Text
    }

    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_the_first_known_media_type() {
        let form = |accept| Form::of(Some(&HeaderValue::from_static(accept)));
        assert_eq!(form("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Form::Html);
        assert_eq!(form("application/json"), Form::Json);
        assert_eq!(form("application/vnd.akkeris+json; version=3"), Form::Json);
        assert_eq!(form("image/png, application/json;q=0.5, text/html;q=0.1"), Form::Json);
        assert_eq!(form("*/*"), Form::Text);
        assert_eq!(Form::of(None), Form::Text);
    }

    #[test]
    fn every_page_is_an_object_with_id_and_message_and_a_document_with_title_and_heading() {
        let all = [
            &BAD_REQUEST,
            &BAD_HEADER,
            &BAD_BODY,
            &BODY_TOO_LARGE,
            &CLIENT_IDLE,
            &UNKNOWN_HOST,
            &MISDIRECTED,
            &AMBIGUOUS_PATH,
            &NO_ROUTE,
            &URI_TOO_LONG,
            &NO_UPSTREAM,
            &BACKLOG,
            &MAINTENANCE,
            &BAD_GATEWAY,
            &TIMEOUT,
            &UNAUTHORIZED,
            &FORBIDDEN,
            &TOO_MANY_REQUESTS,
            &NO_KEYS,
        ];
        for page in all {
            let value: serde_json::Value = serde_json::from_slice(&page.content(Form::Json)).unwrap();
            assert!(value["id"].is_string() && value["message"].is_string(), "{value}");
            let html = String::from_utf8(page.content(Form::Html).to_vec()).unwrap();
            let parts =
                html.split_once("\n<title>").and_then(|(top, page)| Some((top, page.split_once("\n<h1>")?)));
            assert!(parts.is_some_and(|(top, _)| top.starts_with("<!doctype html>")), "{html}");
        }
    }
}
