//! The two ends put to work.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{Deliverer, DelivererParts, HookOutbox, TokenIssuer};
use crate::clock::Clock;
use crate::ids::Ids;
use crate::model::catalogue::Catalogue;
use crate::outbound::{Outbound, PostLimits};
use crate::seal::Sealer;
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;
use crate::telemetry::Telemetry;
use crate::temporary_token::TemporaryTokens;

/// What one delivery may take, and what is kept of the answer.
const LIMITS: PostLimits = PostLimits { total: Duration::from_secs(10), body: 16 * 1024 };

/// From here on events become deliveries, and deliveries leave. To be called before anything records an event.
pub async fn start(
    (store, sealer): (&Store, &Sealer),
    (clock, ids, tokens): (&Clock, &Ids, &TemporaryTokens),
    (catalogue, outbound, telemetry): (Arc<ArcSwap<Catalogue>>, &Outbound, &Telemetry),
    tasks: &Tasks,
) -> Result<(), StoreError> {
    store.join_outbox(Arc::new(HookOutbox::new(sealer.clone(), catalogue, ids.clone())));
    let parts = DelivererParts {
        store: store.clone(),
        sealer: sealer.clone(),
        outbound: outbound.clone(),
        telemetry: telemetry.clone(),
        issuer: TokenIssuer { tokens: tokens.clone(), clock: clock.clone(), ids: ids.clone() },
        clock: clock.clone(),
        limits: LIMITS,
    };
    Deliverer::start(parts, tasks).await?;
    Ok(())
}
