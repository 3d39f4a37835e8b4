//! Events that others report (`behaviour.md` §23, `POST /events`).

use super::{Error, apps};
use crate::model::event::Event;
use crate::model::principal::Principal;
use crate::model::security_scan::SecurityScan;
use crate::store::Store;

/// Records the report of a security scan, of which the app's hooks are told.
pub async fn report_security_scan(
    store: &Store,
    author: &Principal,
    key: String,
    scan: SecurityScan,
) -> Result<(), Error> {
    let scan = scan.check().map_err(|error| Error::BadRequest(error.to_string()))?;
    let reach = author.reach.clone();
    store
        .write(author, move |tx| {
            let app = apps::resolve(tx, &reach, &key)?.id;
            tx.record(Event::SecurityScanReported { app, scan })?;
            Ok(())
        })
        .await
}
