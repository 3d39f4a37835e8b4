//! What the edge did for each app, counted as its requests end.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::ids::AppId;
use crate::model::metric::{RouterSample, StatusCount};

/// Upper bounds of the histogram, in seconds.
pub(super) const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The counts of every app. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct RouterFigures(Arc<Mutex<HashMap<AppId, AppFigures>>>);

/// What was counted of one app since the daemon started.
#[derive(Debug, Clone, Default)]
pub(super) struct AppFigures {
    pub(super) by_status: BTreeMap<u16, StatusCount>,
    /// How many requests took at most the bound of the same place and longer than the one before; the last
    /// place counts those that took longer than every bound.
    pub(super) buckets: [u64; BOUNDS.len() + 1],
    pub(super) seconds: f64,
    /// Not yet taken by [`RouterFigures::take`].
    fresh: RouterSample,
}

impl RouterFigures {
    /// Counts a request that ended: its final status, and the time from its first byte to the last of its answer.
    /// Holds one lock for a few look-ups in maps.
    pub fn record(&self, app: AppId, status: u16, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let figures = figures.entry(app).or_default();
        let AppFigures { by_status, fresh, .. } = figures;
        for counts in [by_status, &mut fresh.by_status] {
            let count = counts.entry(status).or_default();
            count.requests += 1;
            count.seconds += seconds;
        }
        let place = BOUNDS.iter().take_while(|bound| seconds > **bound).count();
        if let Some(bucket) = figures.buckets.get_mut(place) {
            *bucket += 1;
        }
        figures.seconds += seconds;
    }

    /// What was counted since the last call, of the apps that had requests.
    pub(super) fn take(&self) -> BTreeMap<AppId, RouterSample> {
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = figures.iter_mut().filter(|(_, figures)| !figures.fresh.by_status.is_empty());
        fresh.map(|(app, figures)| (*app, std::mem::take(&mut figures.fresh))).collect()
    }

    /// All counts since the start.
    pub(super) fn totals(&self) -> HashMap<AppId, AppFigures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the apps that `keep` refuses.
    pub(super) fn retain(&self, keep: impl Fn(AppId) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|app, _| keep(*app));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn requests_are_counted_by_status_and_by_time_and_taken_once() {
        let (figures, app) = (RouterFigures::default(), AppId::new(Uuid::from_u128(1)));
        for (status, millis) in [(200, 5), (200, 6), (502, 20_000)] {
            figures.record(app, status, Duration::from_millis(millis));
        }
        let taken = figures.take();
        assert_eq!(taken[&app].by_status[&200].requests, 2);
        assert_eq!(taken[&app].by_status[&502].requests, 1);
        assert!(figures.take().is_empty());
        let totals = figures.totals();
        assert_eq!(totals[&app].buckets, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert!((totals[&app].seconds - 20.011).abs() < 1e-9);
        figures.retain(|_| false);
        assert!(figures.totals().is_empty());
    }
}
