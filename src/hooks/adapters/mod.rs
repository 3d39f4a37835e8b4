//! Bodies in the form of the services that do not read ours, chosen by the hook's address.

mod chat;
mod headline;
mod incident;

use serde_json::Value;

use self::headline::Headline;
use crate::model::hook::Hook;
use crate::model::hook_delivery::Delivery;
use crate::model::hook_url::Receiver;

/// Where a delivery goes and what it says there.
pub(super) struct Adapted {
    pub(super) url: String,
    /// A header `authorization` that the service wants.
    pub(super) authorization: Option<String>,
    pub(super) body: String,
}

/// The documented JSON for a plain receiver, else the service's own form of it.
pub(super) fn adapt(hook: &Hook, delivery: &Delivery) -> Adapted {
    let plain = |body: String| Adapted { url: hook.url.reveal().to_owned(), authorization: None, body };
    let receiver = hook.url.receiver();
    if receiver == Receiver::Plain {
        return plain(delivery.payload.reveal().to_owned());
    }
    let event: Value = serde_json::from_str(delivery.payload.reveal()).unwrap_or_default();
    let headline = Headline::of(delivery.event, &event);
    match receiver {
        Receiver::Plain => plain(delivery.payload.reveal().to_owned()),
        Receiver::Slack => plain(chat::slack(&headline)),
        Receiver::TeamsConnector => plain(chat::message_card(&headline)),
        Receiver::TeamsWorkflow => plain(chat::adaptive_card(&headline)),
        Receiver::Discord => plain(chat::discord(&headline)),
        Receiver::PagerDuty => incident::pager_duty(hook, delivery, &headline, event),
        Receiver::Opsgenie => incident::opsgenie(hook, delivery, &headline, &event),
    }
}
