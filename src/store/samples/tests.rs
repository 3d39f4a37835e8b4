use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::model::metric::{Resolution, Usage};

const START: Timestamp = Timestamp::from_millis(1_700_000_400_000);

fn app(number: u128) -> AppId {
    AppId::new(Uuid::from_u128(number))
}

fn sample(of: AppId, dyno: &str, memory: f64, cpu: f64) -> DynoSample {
    let mut usage = Usage::default();
    usage.readings.set(Metric::MemoryUsage, Some(memory));
    usage.readings.set(Metric::CpuUsage, Some(cpu));
    DynoSample {
        app: of,
        process_type: ProcessType::from_stored("web".to_owned()),
        dyno: DynoName::from_stored(dyno.to_owned()),
        usage,
    }
}

fn period(from: Timestamp, to: Timestamp, resolution: &str) -> Period {
    Period::new(from, to, Resolution::parse(resolution).unwrap()).unwrap()
}

fn store(dir: &tempfile::TempDir) -> SampleStore {
    SampleStore::open(&dir.path().join("metrics.db")).unwrap()
}

#[tokio::test]
async fn gauges_become_their_mean_and_counters_their_last_value_in_every_level() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    for (tick, memory, cpu) in [(0, 100.0, 1.0), (10, 200.0, 2.0), (20, 600.0, 4.0)] {
        let at = START.plus(Duration::from_secs(tick));
        store.insert(at, vec![sample(app(1), "a", memory, cpu)], BTreeMap::new()).await.unwrap();
    }
    let now = START.plus(Duration::from_secs(20));
    for (resolution, rows) in [("10s", 3), ("1m", 1), ("1h", 1)] {
        let kept = store.read(app(1), period(START, now, resolution), now).await.unwrap();
        assert_eq!(kept.dynos.len(), rows, "{resolution}");
        let last = kept.dynos.last().unwrap();
        assert_eq!(last.readings.get(Metric::CpuUsage), Some(4.0));
        assert_eq!(last.readings.get(Metric::FsUsage), None);
        let memory = last.readings.get(Metric::MemoryUsage).unwrap();
        assert!((memory - if rows == 3 { 600.0 } else { 300.0 }).abs() < 1e-9, "{memory}");
    }
    let other = store.read(app(2), period(START, now, "10s"), now).await.unwrap();
    assert_eq!(other, KeptSamples::default());
}

#[tokio::test]
async fn requests_are_added_up_by_status() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    for tick in [0, 10] {
        let counts = BTreeMap::from([(200, StatusCount { requests: 3, seconds: 0.5 })]);
        let router = BTreeMap::from([(app(1), RouterSample { by_status: counts })]);
        store.insert(START.plus(Duration::from_secs(tick)), Vec::new(), router).await.unwrap();
    }
    let now = START.plus(Duration::from_mins(1));
    let kept = store.read(app(1), period(START, now, "1m"), now).await.unwrap();
    let begin = seconds(START);
    let count = StatusCount { requests: 6, seconds: 1.0 };
    assert_eq!(kept.router, [RouterRow { at: begin, status: 200, count }]);
}

#[tokio::test]
async fn what_was_kept_survives_and_is_pruned_level_by_level() {
    let dir = tempfile::tempdir().unwrap();
    store(&dir).insert(START, vec![sample(app(1), "a", 1.0, 1.0)], BTreeMap::new()).await.unwrap();
    let store = store(&dir);
    let rows = async |level: Level| {
        store
            .call(move |connection| {
                let sql = "SELECT count(*) FROM dyno_samples WHERE level = ?1";
                Ok(connection.query_row(sql, [level as i64], |row| row.get::<_, i64>(0))?)
            })
            .await
            .unwrap()
    };
    for (hours, left) in [(1, [1, 1, 1]), (7, [0, 1, 1]), (25, [0, 0, 1]), (24 * 7 + 1, [0, 0, 0])] {
        store.prune(START.plus(Duration::from_hours(hours))).await.unwrap();
        assert_eq!([rows(Level::Fine).await, rows(Level::Minute).await, rows(Level::TenMinutes).await], left);
    }
}

#[tokio::test]
async fn an_app_that_is_not_kept_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let samples = vec![sample(app(1), "a", 1.0, 1.0), sample(app(2), "b", 1.0, 1.0)];
    store.insert(START, samples, BTreeMap::new()).await.unwrap();
    store.keep_only(BTreeSet::from([app(2)])).await.unwrap();
    let whole = period(START, START, "10s");
    assert_eq!(store.read(app(1), whole, START).await.unwrap(), KeptSamples::default());
    assert_eq!(store.read(app(2), whole, START).await.unwrap().dynos.len(), 1);
}

#[test]
fn a_damaged_file_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.db");
    std::fs::write(&path, [7; 8192]).unwrap();
    SampleStore::open(&path).unwrap();
    assert_ne!(std::fs::read(&path).unwrap().first(), Some(&7));
}

#[test]
fn a_long_period_is_read_from_all_levels_without_a_gap_or_an_overlap() {
    let now = START.plus(Duration::from_secs(123));
    let week = period(Timestamp::from_millis(now.as_millis() - 7 * 86_400_000), now, "10s");
    let parts = parts(week, now);
    assert_eq!(parts.iter().map(|part| part.0).collect::<Vec<_>>(), Level::ALL);
    for pair in parts.windows(2) {
        assert_eq!(pair[1].2 + 1, pair[0].1);
        assert_eq!(pair[0].1 % 600, 0);
    }
    let coarse = super::parts(Period { resolution: Resolution::parse("1h").unwrap(), ..week }, now);
    assert_eq!(coarse.iter().map(|part| part.0).collect::<Vec<_>>(), [Level::TenMinutes]);
    let past = period(START, START, "10s");
    assert!(super::parts(past, START.plus(Duration::from_hours(24 * 30))).is_empty());
}

#[tokio::test]
async fn a_full_file_drops_old_fine_values_and_takes_the_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let many = || {
        let dynos = (0..200).map(|n| sample(app(1), &format!("dyno-{n}"), 1.0, 1.0));
        dynos.collect::<Vec<_>>()
    };
    store.call(|c| Ok(c.query_row("PRAGMA max_page_count = 60", [], |_| Ok(()))?)).await.unwrap();
    for tick in 0..40 {
        let at = START.plus(Duration::from_mins(10 * tick));
        if store.insert(at, many(), BTreeMap::new()).await.is_err() {
            break;
        }
    }
    let later = START.plus(Duration::from_hours(12));
    store.insert(later, many(), BTreeMap::new()).await.unwrap();
    let kept = store.read(app(1), period(later, later, "10s"), later).await.unwrap();
    assert_eq!(kept.dynos.len(), 200);
}
