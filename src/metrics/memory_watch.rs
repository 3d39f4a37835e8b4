//! Dynos that come near their memory limit: R15, a warning and no crash (`behaviour.md` §30).
//!
//! Invariant: a dyno is warned of once, and again only after it has fallen well below the limit.

use std::collections::HashSet;

use crate::model::ids::AppId;
use crate::model::log::{LogLine, LogSource};
use crate::model::metric::{DynoSample, Metric, float};
use crate::model::names::DynoName;
use crate::model::time::Timestamp;

/// Shares of the limit, in percent: from the first on a dyno is warned of, below the second it is forgotten.
const WARN_FROM: f64 = 90.0;
const FORGET_BELOW: f64 = 80.0;
const MIB: f64 = 1024.0 * 1024.0;

/// Remembers the dynos that were warned of.
#[derive(Debug, Default)]
pub(super) struct MemoryWatch {
    warned: HashSet<(AppId, DynoName)>,
}

impl MemoryWatch {
    /// The warnings that a measurement gives reason for. `samples` holds every dyno that runs: one that is missing
    /// starts anew.
    pub(super) fn warnings(&mut self, samples: &[DynoSample], now: Timestamp) -> Vec<(AppId, LogLine)> {
        let runs: HashSet<(AppId, DynoName)> =
            samples.iter().map(|sample| (sample.app, sample.dyno.clone())).collect();
        self.warned.retain(|dyno| runs.contains(dyno));
        samples
            .iter()
            .filter(|sample| self.crosses(sample))
            .filter_map(|sample| Some((sample.app, warning(sample, now)?)))
            .collect()
    }

    /// What is not known changes nothing.
    fn crosses(&mut self, sample: &DynoSample) -> bool {
        let Some((used, limit)) = memory(sample) else { return false };
        let (percent, dyno) = (used / limit * 100.0, (sample.app, sample.dyno.clone()));
        if percent < FORGET_BELOW {
            self.warned.remove(&dyno);
        }
        percent >= WARN_FROM && self.warned.insert(dyno)
    }
}

/// What a dyno uses of what it may. The page cache, which the kernel takes back before it ends a dyno, is no danger.
fn memory(sample: &DynoSample) -> Option<(f64, f64)> {
    let limit = sample.usage.memory_limit.filter(|limit| *limit > 0)?;
    let readings = &sample.usage.readings;
    let used = readings.get(Metric::MemoryWorkingSet).or_else(|| readings.get(Metric::MemoryRss))?;
    Some((used, float(limit)))
}

fn warning(sample: &DynoSample, at: Timestamp) -> Option<LogLine> {
    let (used, limit) = memory(sample)?;
    let DynoSample { process_type, dyno, .. } = sample;
    let text = format!(
        "Warning R15 (Memory quota nearly exceeded): {process_type}.{dyno} uses {:.0} MiB of its {:.0} MiB ({:.0} %)",
        used / MIB,
        limit / MIB,
        used / limit * 100.0
    );
    Some(LogLine::new(at, LogSource::Controller, text))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::metric::Usage;
    use crate::model::names::ProcessType;

    fn sample(mib: Option<f64>) -> DynoSample {
        let mut usage = Usage { memory_limit: Some(100 << 20), ..Usage::default() };
        usage.readings.set(Metric::MemoryWorkingSet, mib.map(|mib| mib * MIB));
        // The page cache fills what is left of the limit.
        usage.readings.set(Metric::MemoryUsage, Some(100.0 * MIB));
        DynoSample {
            app: AppId::new(Uuid::from_u128(1)),
            process_type: ProcessType::from_stored("web".to_owned()),
            dyno: DynoName::new("1", "aaaaa"),
            usage,
        }
    }

    fn warned(watch: &mut MemoryWatch, mib: Option<f64>) -> bool {
        !watch.warnings(&[sample(mib)], Timestamp::from_millis(0)).is_empty()
    }

    #[test]
    fn a_dyno_is_warned_of_once_until_it_has_fallen_well_below_its_limit() {
        let mut watch = MemoryWatch::default();
        let seen = [
            (Some(89.9), false),
            (Some(90.0), true),
            (Some(99.0), false),
            (Some(81.0), false),
            (Some(95.0), false),
            (None, false),
            (Some(95.0), false),
            (Some(79.0), false),
            (Some(91.0), true),
        ];
        for (place, (mib, expected)) in seen.into_iter().enumerate() {
            assert_eq!(warned(&mut watch, mib), expected, "at {place}: {mib:?} MiB");
        }
    }

    #[test]
    fn a_dyno_that_was_gone_is_warned_of_anew() {
        let mut watch = MemoryWatch::default();
        assert!(warned(&mut watch, Some(95.0)));
        assert!(watch.warnings(&[], Timestamp::from_millis(0)).is_empty());
        assert!(warned(&mut watch, Some(95.0)));
    }

    #[test]
    fn a_warning_names_the_dyno_and_what_it_uses() {
        let warnings = MemoryWatch::default().warnings(&[sample(Some(92.0))], Timestamp::from_millis(0));
        let texts: Vec<&str> = warnings.iter().map(|(_, line)| line.text()).collect();
        assert_eq!(
            texts,
            ["Warning R15 (Memory quota nearly exceeded): web.1-aaaaa uses 92 MiB of its 100 MiB (92 %)"]
        );
    }

    #[test]
    fn a_dyno_without_a_limit_is_never_warned_of() {
        let mut sample = sample(Some(1e6));
        for limit in [None, Some(0)] {
            sample.usage.memory_limit = limit;
            let sample = std::slice::from_ref(&sample);
            assert!(MemoryWatch::default().warnings(sample, Timestamp::from_millis(0)).is_empty());
        }
    }
}
