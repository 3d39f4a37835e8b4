//! One daemon after another without a lost connection: the running one starts the next and hands it the sockets.
//!
//! Words: the *predecessor* is the process that runs when the upgrade is asked for, the *successor* is the one that
//! it starts. They talk over a pair of connected sockets; the successor finds its end as its standard input.
//!
//! | # | predecessor | successor |
//! |---|---|---|
//! | 1 | serves as ever | checks configuration, database, certificates and Docker; says `prepared` |
//! | 2 | ends its control plane, unlocks the data dir, says `listeners` and `released`; its edge serves on | waits |
//! | 3 | its edge serves on with the last routing table | starts its control plane and its edge; says `ready` |
//! | 4 | accepts no more, lets open requests and tunnels end, exits | serves |
//!
//! HTTP/3 goes over later, by `datagrams`: a UDP socket has one queue for all connections. The predecessor tells its
//! clients that it takes no more requests, refuses new connections, and lets the open requests end for half a minute
//! at most; until then clients of the successor use TCP, as they do wherever there is no HTTP/3.
//!
//! Invariants: there is no moment at which no process accepts TCP, because both have the same sockets; only one has a
//! control plane, because it holds the lock of the data dir; until `ready` the predecessor can take up again what it
//! put down, and a successor that is given up is dead before it does.

mod channel;
pub mod control;
mod message;
mod predecessor;
mod successor;

pub use self::message::{FromSuccessor, ToSuccessor};
pub use self::predecessor::{Predecessor, PredecessorError};
pub use self::successor::{Successor, SuccessorError};
