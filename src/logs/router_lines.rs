//! The line of the edge for each request, in the log of its app (`behaviour.md` §10), and in that of the site by whose
//! route it came where a drain reads that one (§20).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::rings::Rings;
use crate::edge::AccessRecord;
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
    pub async fn write(&self, records: Vec<AccessRecord>) {
        let mut lines: HashMap<LogOwner, Vec<LogLine>> = HashMap::new();
        for record in records {
            let (app, site, at) = (record.app, record.site, record.at);
            let line = LogLine::new(at, LogSource::Router, text(record));
            if let Some(site) = site.filter(|site| self.0.opened(*site).is_some()) {
                lines.entry(site.into()).or_default().push(line.clone());
            }
            lines.entry(app.into()).or_default().push(line);
        }
        for (owner, error) in self.0.append_all(lines).await {
            tracing::warn!(?owner, %error, "router lines are missing in a log");
        }
    }
}

/// The record's text goes on in place, since this happens for each request.
fn text(record: AccessRecord) -> String {
    let (service, connect, total) = (millis(record.service), millis(record.connect), millis(record.total));
    let mut text = record.request;
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        " status={} service={service}ms connect={connect}ms total={total}ms bytes={}",
        record.status, record.bytes
    );
    if let Some(upstream) = &record.dyno {
        text.extend([" dyno=web.", upstream.dyno.as_str()]);
    }
    if let Some(code) = record.code {
        let _ = write!(text, " at=error code={} desc=\"{}\"", code.code(), code.description());
    }
    text
}

fn millis(time: Duration) -> u128 {
    time.as_millis()
}
