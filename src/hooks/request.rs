//! The request that carries a delivery: headers of both families, and a body in the receiver's form.

use std::collections::BTreeMap;

use super::adapters::{self, Adapted};
use super::sign;
use crate::model::hook::Hook;
use crate::model::hook_delivery::{Delivery, SentRequest};

/// The documented user agent.
const USER_AGENT: &str = "appkit-hookshot";
const AUTHORIZATION: &str = "authorization";
/// A temporary token of the person who caused the event.
const TOKEN: &str = "x-akkeris-token";

/// A POST that can be sent, and what results show of it.
pub(super) struct HookRequest {
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    pub(super) shown: SentRequest,
}

/// Signs the event and puts it into the receiver's form. Hashes the whole event: not for the runtime's threads.
///
/// The signatures are over the documented JSON also where the body has another form (`behaviour.md` §22).
pub(super) fn build(hook: &Hook, delivery: &Delivery, token: Option<String>) -> HookRequest {
    let signed = delivery.payload.reveal().as_bytes();
    let (sha1, sha256) = (sign::sha1(&hook.secret, signed), sign::sha256(&hook.secret, signed));
    let (event, id) = (delivery.event.to_string(), delivery.id.to_string());
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("user-agent", USER_AGENT.to_owned()),
        ("x-appkit-event", event.clone()),
        ("x-appkit-delivery", id.clone()),
        ("x-appkit-signature", sha1.clone()),
        ("x-appkit-signature-256", sha256.clone()),
        ("x-akkeris-event", event),
        ("x-akkeris-delivery", id),
        ("x-akkeris-signature", sha1),
        ("x-akkeris-signature-256", sha256),
    ];
    let Adapted { url, authorization, body } = adapters::adapt(hook, delivery);
    headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
    headers.extend(token.map(|value| (TOKEN, value)));
    let shown: BTreeMap<String, String> = headers
        .iter()
        .filter(|(name, _)| !matches!(*name, AUTHORIZATION | TOKEN))
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    HookRequest {
        url,
        headers,
        body,
        shown: SentRequest { url: hook.url.shown_in_results(), headers: shown },
    }
}
