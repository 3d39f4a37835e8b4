//! The logs of apps, and of sites with drains: a ring of lines on disk for each, and what fills it.
//!
//! Invariant: nothing here is held up by a reader. Writers append to the ring, readers ask it for what comes after
//! their position, and who is too slow is told how many lines were lost.

mod allowance;
mod assemble;
mod brake;
mod collect;
mod follow;
mod frame;
mod narrate;
mod reader;
pub mod ring;
mod rings;
mod router_lines;
mod segment;
mod sessions;
mod silence;
mod slowing;

pub use self::collect::{Collector, CollectorParts};
pub use self::narrate::Narrator;
pub use self::reader::{Chunk, Reader};
pub use self::rings::Rings;
pub use self::router_lines::RouterLines;
pub use self::sessions::{LogRequest, LogSessions};
