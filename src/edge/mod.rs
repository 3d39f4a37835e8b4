//! The edge: the reverse proxy on hyper and rustls.
//!
//! Invariant: depends on nothing but a published [`table::RoutingTable`], listeners that are handed to it and
//! a certificate source; it keeps serving while the engine or the store is slow or gone.

pub mod table;
