//! Ports for servers that others start, or that nobody is to start.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that the system gives to connections by itself (`ip_local_port_range` begins at 32,768): such a port could
/// be gone again before the server that shall have it takes it.
const PORTS: std::ops::Range<u32> = 12_000..32_000;

/// Ports of loopback that nobody listens on, none of them twice in a run.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    // Runs beside this one begin elsewhere.
    let first = std::process::id().wrapping_mul(97);
    let next = || first.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let ports = || u16::try_from(PORTS.start + next()).unwrap();
    std::array::from_fn(|_| std::iter::repeat_with(ports).take(1_000).find(free).unwrap())
}
