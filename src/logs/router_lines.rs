//! The line of the edge for each request, in the log of its app (`behaviour.md` §10), and in that of the site by whose
//! route it came where a drain reads that one (§20).

use std::ops::Range;

use super::rings::Rings;
use crate::edge::AccessRecords;
use crate::model::log::{LogLine, LogOwner, LogSource};

/// Writes router lines. The one task that takes the edge's records calls it with each batch, beside whoever else
/// wants them.
#[derive(Debug, Clone)]
pub struct RouterLines(Rings);

impl RouterLines {
    /// Writes into these rings.
    pub fn new(rings: Rings) -> Self {
        Self(rings)
    }

    /// Adds a line for each record to the log of its app, and to that of its site if there is one.
    pub async fn write(&self, records: AccessRecords) {
        let mut owned: Vec<(LogOwner, usize)> = Vec::with_capacity(records.len());
        for (number, (record, _)) in records.iter().enumerate() {
            let site = record.site.filter(|site| self.0.opened(*site).is_some());
            owned.extend(site.map(|site| (site.into(), number)));
            owned.push((record.app.into(), number));
        }
        owned.sort_unstable();
        // Each owner, with where the numbers of its records lie.
        let of_owner = |(one, _): &(LogOwner, usize), (other, _): &(LogOwner, usize)| one == other;
        let owners = owned.chunk_by(of_owner).scan(0, |end, chunk| {
            let start = std::mem::replace(end, *end + chunk.len());
            chunk.first().map(|(owner, _)| (*owner, start..*end))
        });
        let owners = owners.collect();
        // Made where they are written, since memory that goes from thread to thread costs more.
        let lines = move |numbers: Range<usize>| {
            let numbers = owned.get(numbers).unwrap_or_default().iter().map(|(_, number)| *number);
            let records = numbers.filter_map(|number| records.get(number));
            records.map(|(record, line)| LogLine::new(record.at, LogSource::Router, line)).collect()
        };
        for (owner, error) in self.0.append_all(owners, lines).await {
            tracing::warn!(?owner, %error, "router lines are missing in a log");
        }
    }
}
