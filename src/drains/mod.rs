//! Log drains: each line of an app's log, or of a site's, sent on to where its people want it.
//!
//! One follower a drain reads the ring from its own position, so a drain that is slow or dead holds up nothing
//! and costs no memory: the ring is its queue, and what the ring overwrites before it was sent is counted.
//!
//! The ring of a site is there only while the site has a drain, so that the others cost nothing.
//!
//! # What is guaranteed
//!
//! Lines arrive in the order of the log. A line that did not arrive, or is not known to have arrived, is counted, and
//! the count is told in the stream as `Error L10`, before the next line.
//!
//! - `https`, `http`: a batch counts as delivered when it was answered with a success, else it is sent again with
//!   the same frame id. Nothing is lost but what the ring loses.
//! - `syslog+tls`, `syslog`: these protocols acknowledge nothing, so the connection itself is asked. After each
//!   `stream::CONFIRM_AT` bytes our side is closed, and a server that has read everything closes its own; one
//!   that ends with unread bytes makes its kernel reset the connection, which is how to tell the two apart. When a
//!   connection breaks, the lines that were not asked about, and were sent less than `ledger::SETTLED` ago, are
//!   counted and not sent again. What the kernel had not taken is sent on the next connection. A server that was
//!   restarted while nothing was on its way loses nothing.
//! - `syslog+udp`: nothing is known of a datagram that left.
//!
//! How far a drain got is written down every few seconds, and when the daemon stops. After a crash it may repeat the
//! lines of those seconds.

mod backoff;
mod datagram;
mod error;
mod figures;
mod follow;
mod ledger;
mod link;
mod logplex;
mod message;
mod progress;
mod room;
mod stream;
mod tls;

pub use self::figures::{DrainFigures, DrainTotals};
pub use self::room::DrainsParts;
