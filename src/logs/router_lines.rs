//! The line of the edge for each request in the log of its app (`behaviour.md` §10).

use std::collections::HashMap;
use std::time::Duration;

use super::rings::Rings;
use crate::edge::AccessRecord;
use crate::model::ids::AppId;
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

    /// Adds a line for each record to the log of its app.
    pub async fn write(&self, records: &[AccessRecord]) {
        let mut lines: HashMap<AppId, Vec<LogLine>> = HashMap::new();
        for record in records {
            let line = LogLine::new(record.at, LogSource::Router, text(record));
            lines.entry(record.app).or_default().push(line);
        }
        for (app, lines) in lines {
            if let Err(error) = self.0.append(app, lines, None).await {
                tracing::warn!(%app, %error, "router lines are missing in the app's log");
            }
        }
    }
}

fn text(record: &AccessRecord) -> String {
    let AccessRecord { request, status, bytes, .. } = record;
    let failure = record
        .code
        .map(|code| format!(" at=error code={} desc=\"{}\"", code.code(), code.description()))
        .unwrap_or_default();
    let (service, connect, total) = (millis(record.service), millis(record.connect), millis(record.total));
    let dyno =
        record.dyno.as_ref().map(|upstream| format!(" dyno=web.{}", upstream.dyno)).unwrap_or_default();
    format!(
        "{request} status={status} service={service}ms connect={connect}ms total={total}ms bytes={bytes}{dyno}{failure}"
    )
}

fn millis(time: Duration) -> u128 {
    time.as_millis()
}
