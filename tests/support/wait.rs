//! The one wait of the tests: for a condition, with a bound.

use std::time::Duration;

/// Waits until `condition` gives a value; ends the test when it does not in time.
pub(crate) async fn wait_until<T, F: AsyncFnMut() -> Option<T>>(
    what: &str,
    limit: Duration,
    mut condition: F,
) -> T {
    let started = std::time::Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
