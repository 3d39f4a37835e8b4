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
#[path = "../../support/ports.rs"]
mod ports;
#[path = "../../support/provider.rs"]
#[expect(dead_code, reason = "suite 1 asks it for more")]
pub mod provider;
pub mod services;
pub mod streams;

use std::future::Future;
use std::time::{Duration, Instant};

pub(crate) use self::ports::free_ports;

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
