//! Webhooks of auto builds that are no more: removed at the provider at once, or when it can be reached again.

use std::time::Duration;

use super::SourceControlParts;
use crate::model::auto_build::SourceDelivery;
use crate::model::principal::Principal;
use crate::store::auto_builds::Removal;
use crate::store::{self, StoreError};

/// After so many failed attempts, which are about two days, the webhook is left where it is.
const ATTEMPTS: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(8);
/// Removals of one look.
const AT_ONCE: u32 = 16;

/// Removes what is due. Who asks for a removal and the worker may come to the same one at once; its provider answers
/// the second that it is gone.
pub(super) async fn carry_out(parts: &SourceControlParts) -> Result<(), StoreError> {
    let (sealer, now) = (parts.sealer.clone(), parts.clock.now());
    let due =
        parts.store.read(move |c| store::auto_builds::list_removals(c, &sealer, (now, AT_ONCE))).await?;
    for removal in due {
        remove(parts, removal).await?;
    }
    Ok(())
}

async fn remove(parts: &SourceControlParts, removal: Removal) -> Result<(), StoreError> {
    let Removal { auto_build, attempts } = removal;
    let done = match (&auto_build.delivery, parts.repository(&auto_build)) {
        (SourceDelivery::Hook { id, .. }, Ok(client)) => client.delete_hook(id).await,
        (SourceDelivery::With(_), _) | (_, Err(_)) => Ok(()),
    };
    let (id, now) = (auto_build.id, parts.clock.now());
    let daemon = Principal::daemon();
    match done {
        Err(error) if error.is_transient() && attempts < ATTEMPTS => {
            tracing::info!(%error, repo = %auto_build.repo, "a webhook is removed later");
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts)).min(LONGEST_PAUSE);
            let due = now.plus(pause);
            parts
                .store
                .write(&daemon, move |tx| store::auto_builds::put_off_removal(tx, (id, attempts), due))
                .await
        }
        done => {
            if let Err(error) = done {
                tracing::warn!(%error, repo = %auto_build.repo, "a webhook is left at its provider");
            }
            parts.store.write(&daemon, move |tx| store::auto_builds::delete(tx, id)).await
        }
    }
}
