//! What the stories of suite 2 share: the real binary, a real engine, a client and a load.

pub mod archive;
pub mod client;
pub mod daemon;
pub mod docker;
pub mod engine;
pub mod load;
pub mod mariadb;
pub mod named;
pub mod pebble;
#[path = "../../support/provider.rs"]
#[expect(dead_code, reason = "suite 1 asks it for more")]
pub mod provider;
pub mod services;
pub mod streams;

use std::future::Future;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Looks again and again until `look` gives a value; after `limit` the test ends with the last state.
pub async fn wait_until<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + limit;
    loop {
        match look().await {
            Ok(value) => return value,
            Err(state) if Instant::now() >= deadline => {
                panic!("{what}: not within {limit:?}; at last: {state}")
            }
            Err(_) => pause(Duration::from_millis(50)).await,
        }
    }
}

/// Lets time pass in a story in which the time itself matters, such as a load that shall run for a while.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// How many releases a story makes under load: 20, or as many as `AKKERISD_E2E_RELEASES` says where somebody measures
/// (issue 5 asks for 100).
pub fn releases_to_make() -> usize {
    std::env::var("AKKERISD_E2E_RELEASES").map_or(20, |text| text.parse().unwrap())
}

/// Below those that the system gives to connections by itself (`ip_local_port_range` begins at 32,768): such a port could
/// be gone again before the server that shall have it takes it.
const PORTS: std::ops::Range<u32> = 12_000..32_000;

/// Ports of loopback that nobody listens on, none of them twice in a run.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    // Runs beside this one begin elsewhere.
    let first = std::process::id().wrapping_mul(97);
    let next = || first.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let ports = || u16::try_from(PORTS.start + next()).unwrap();
    std::array::from_fn(|_| std::iter::repeat_with(ports).take(1_000).find(free).expect("a free port"))
}
