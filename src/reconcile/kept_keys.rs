//! The last good keys of each issuer, on disk: a daemon that starts judges tokens at once, and also while the issuer is
//! down.
//!
//! What an operator can rely on: a running daemon keeps the keys it has for as long as the issuer does not answer, and
//! takes what it answers next. A start uses keys that the issuer gave at most a week ago, so that a machine that was
//! off for long, or a restored backup, does not bring keys back that the issuer has revoked long since; until the issuer
//! answers, the app is then closed (503). Keys go with the last filter in force that names their address.

use std::time::Duration;

use crate::clock::Clock;
use crate::edge::filters::jwt::Keys;
use crate::model::filter::JwksUri;
use crate::model::principal::Principal;
use crate::store::issuer_keys::{self, KeyDocument};
use crate::store::{Store, StoreError};

/// How old keys may be when a daemon starts.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// How often keys that stay the same are written again, so that they count as young.
const RENEWED: Duration = Duration::from_hours(1);

/// Where the keys are.
#[derive(Debug, Clone)]
pub struct KeptKeys {
    store: Store,
    clock: Clock,
}

impl KeptKeys {
    /// Those of this store.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// The keys of an address, unless there are none that are young enough. A set that cannot be read is none.
    pub(super) fn load(&self, uri: &JwksUri) -> Option<Keys> {
        let found = self.store.look_up(|connection| issuer_keys::find(connection, uri));
        let found = found.unwrap_or_else(|error: StoreError| {
            warn(uri, &error);
            None
        });
        found.filter(|found| self.age(found) <= KEPT).and_then(|found| Keys::parse(&found.document).ok())
    }

    /// Notes what an address has answered.
    pub(super) async fn save(&self, uri: &JwksUri, document: Vec<u8>) {
        let present = self.store.look_up(|connection| issuer_keys::find(connection, uri));
        if let Ok(Some(present)) = present
            && present.document == document
            && self.age(&present) < RENEWED
        {
            return;
        }
        let address = uri.clone();
        let daemon = Principal::daemon();
        let written = self.store.write(&daemon, move |tx| issuer_keys::put(tx, &address, &document)).await;
        written.unwrap_or_else(|error: StoreError| warn(uri, &error));
    }

    /// Takes out the keys of an address.
    pub(super) async fn forget(&self, uri: &JwksUri) {
        let address = uri.clone();
        let daemon = Principal::daemon();
        let written = self.store.write(&daemon, move |tx| issuer_keys::delete(tx, &address)).await;
        written.unwrap_or_else(|error: StoreError| warn(uri, &error));
    }

    /// Takes out the keys of all other addresses.
    pub(super) async fn forget_all_but(&self, used: Vec<JwksUri>) {
        // Most daemons have no such keys; they are not made to write at each start.
        let result = match self.store.look_up(issuer_keys::is_any) {
            Ok(false) => Ok(()),
            Ok(true) => {
                let daemon = Principal::daemon();
                self.store.write(&daemon, move |tx| issuer_keys::delete_all_but(tx, &used)).await
            }
            Err(error) => Err(error),
        };
        result.unwrap_or_else(|error: StoreError| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "keys that no filter needs are still on disk"
            );
        });
    }

    fn age(&self, document: &KeyDocument) -> Duration {
        self.clock.now().since(document.fetched_at)
    }
}

fn warn(uri: &JwksUri, error: &StoreError) {
    tracing::warn!(
        uri = uri.as_str(),
        error = error as &dyn std::error::Error,
        "the last keys of an issuer could not be read or written"
    );
}
