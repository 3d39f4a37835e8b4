//! Webhooks: what is told of an app's events, how it is signed, and how it gets to its endpoint.
//!
//! Invariants: an event and its deliveries are written in one transaction; the deliveries of a hook leave one
//! after the other, in the order of their events; a delivery is counted on disk before it leaves.

mod adapters;
mod deliver;
mod outbox;
mod payload;
mod request;
mod settle;
mod sign;
mod start;
mod subject;

pub use self::deliver::{Deliverer, DelivererParts, TokenIssuer};
pub use self::outbox::HookOutbox;
pub use self::start::start;
