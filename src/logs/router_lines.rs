//! The line of the edge for each request, in the log of its app (`behaviour.md` §10), and in that of the site by whose
//! route it came where a drain reads that one (§20).

use super::rings::{ByOwner, Rings};
use crate::edge::AccessRecord;
use crate::model::log::{LogLine, LogSource};

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
    pub async fn write(&self, records: Vec<AccessRecord>) {
        let mut lines = ByOwner::<Vec<LogLine>>::default();
        for record in records {
            let line = LogLine::new(record.at, LogSource::Router, record.line);
            if let Some(site) = record.site.filter(|site| self.0.opened(*site).is_some()) {
                lines.entry(site.into()).or_default().push(line.clone());
            }
            lines.entry(record.app.into()).or_default().push(line);
        }
        for (owner, error) in self.0.append_all(lines).await {
            tracing::warn!(?owner, %error, "router lines are missing in a log");
        }
    }
}
