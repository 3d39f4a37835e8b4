//! The line of the edge for each request, in the log of its app (`behaviour.md` §10), and in that of the site by whose
//! route it came where a drain reads that one (§20).
//!
//! A write to a file costs the same for one line as for many. So where many requests go to many apps, their lines wait
//! a moment for others of the same apps; else each batch is written at once.

use std::future::pending;
use std::ops::Range;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::frame::NewFrame;
use super::rings::Rings;
use crate::edge::AccessRecords;
use crate::model::log::{LogOwner, LogSource, Part};

/// How long lines wait, and how many bytes of them.
const HOLD: Duration = Duration::from_secs(1);
const MOST_HELD: usize = 6 << 20;
/// Lines wait when there are so many, and a write would have less of them than this.
const MANY: usize = 256;
const FEW: usize = 8;

/// Writes router lines. The one task that takes the edge's records gives it each batch, beside whoever else wants them.
#[derive(Debug)]
pub struct RouterLines {
    rings: Rings,
    /// Empty between two batches, unless lines are held.
    held: AccessRecords,
    /// When what is held is to be written; `None` while nothing is.
    due: Option<Instant>,
    /// The last lines were many, of many apps: the next ones wait.
    holding: bool,
}

impl RouterLines {
    /// Writes into these rings.
    pub fn new(rings: Rings) -> Self {
        Self { rings, held: AccessRecords::default(), due: None, holding: false }
    }

    /// Adds a line for each record to the log of its app, and to that of its site if there is one; at the latest when
    /// [`RouterLines::due`] has passed and [`RouterLines::flush`] is called.
    pub async fn write(&mut self, records: AccessRecords) {
        if self.holding {
            // One text for all: the batches' own, which other threads made, would leave holes wherever they lay.
            self.held.append(records);
        } else {
            self.held = records;
        }
        self.due.get_or_insert_with(|| Instant::now() + HOLD);
        if !self.holding || self.held.bytes() >= MOST_HELD {
            self.flush().await;
        }
    }

    /// Waits until lines have waited long enough; for ever while there are none. Can be cancelled.
    pub async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => pending().await,
        }
    }

    /// Writes the lines that wait.
    pub async fn flush(&mut self) {
        if self.due.take().is_none() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        let places = self.places(&held);
        // Each owner, with the range of its places.
        let owners = places.chunk_by(|one, other| one.0 == other.0).scan(0, |end, of_owner| {
            let start = std::mem::replace(end, *end + of_owner.len());
            of_owner.first().map(|(owner, ..)| (*owner, start..*end))
        });
        let owners: Vec<(LogOwner, Range<usize>)> = owners.collect();
        self.holding = places.len() >= MANY && places.len() < FEW * owners.len();
        // Made where they are written, since memory that goes from thread to thread costs more.
        let frame = move |range: Range<usize>| {
            let places = places.get(range).unwrap_or_default();
            let records = || places.iter().filter_map(|(_, number)| held.get(*number));
            let mut frame = NewFrame::new(None, records().map(|(_, line)| line.len()))?;
            for (record, line) in records() {
                frame.push(record.at, &LogSource::Router, (Part::Whole, line))?;
            }
            Ok(frame)
        };
        for (owner, error) in self.rings.append_all(owners, frame).await {
            tracing::warn!(?owner, %error, "router lines are missing in a log");
        }
    }

    /// Whose log gets which record, in the order in which they are written.
    fn places(&self, held: &AccessRecords) -> Vec<(LogOwner, usize)> {
        let mut places = Vec::with_capacity(held.len());
        for (number, (record, _)) in held.iter().enumerate() {
            let site = record.site.filter(|site| self.rings.opened(*site).is_some());
            places.extend(site.map(|site| (site.into(), number)));
            places.push((record.app.into(), number));
        }
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::edge::AccessRecord;
    use crate::model::ids::AppId;
    use crate::model::time::Timestamp;

    /// As many lines as there are numbers, each of the app with its number.
    fn records(apps: impl Iterator<Item = u128>, line: &str) -> AccessRecords {
        let mut records = AccessRecords::default();
        for app in apps {
            let (app, at) = (AppId::new(Uuid::from_u128(app)), Timestamp::from_millis(0));
            let record =
                AccessRecord { app, site: None, at, status: 200, total: Duration::ZERO, trace: None };
            records.push(record, line);
        }
        records
    }

    /// The lines of an app that are written.
    async fn written(lines: &RouterLines, app: u128) -> Vec<String> {
        let mut reader = lines.rings.reader(AppId::new(Uuid::from_u128(app)), 0).await.unwrap();
        let chunk = reader.available().await.unwrap();
        chunk.lines.iter().map(|line| line.text().to_owned()).collect()
    }

    #[tokio::test]
    async fn lines_of_many_apps_wait_for_others_of_the_same_apps_and_those_of_few_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut lines = RouterLines::new(Rings::new(dir.path(), 1 << 20));
        let apps = || 0..MANY as u128;
        lines.write(records(apps(), "first")).await;
        assert_eq!(written(&lines, 7).await, ["first"], "what has come before is not known to be so");
        lines.write(records(apps(), "second")).await;
        lines.write(records(apps(), "third")).await;
        assert_eq!(written(&lines, 7).await, ["first"]);
        lines.due().await;
        lines.flush().await;
        assert_eq!(written(&lines, 7).await, ["first", "second", "third"]);
        for text in ["fourth", "fifth"] {
            lines.write(records([7].into_iter().cycle().take(MANY), text)).await;
            lines.flush().await;
        }
        lines.write(records([7].into_iter(), "last")).await;
        assert_eq!(written(&lines, 7).await.last().unwrap(), "last", "all are of one app again");
    }

    #[tokio::test]
    async fn only_so_much_waits() {
        let dir = tempfile::tempdir().unwrap();
        let mut lines = RouterLines::new(Rings::new(dir.path(), 1 << 20));
        lines.holding = true;
        let long = "x".repeat(MOST_HELD / MANY);
        lines.write(records(0..MANY as u128 / 2, &long)).await;
        assert_eq!(lines.held.len(), MANY / 2);
        lines.write(records(0..MANY as u128 / 2, &long)).await;
        assert!(lines.held.is_empty() && lines.due.is_none());
    }
}
