//! The near end: events become deliveries, in the transaction of the event.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::payload::{self, Scene};
use super::subject::Subject;
use crate::ids::Ids;
use crate::model::catalogue::Catalogue;
use crate::model::event::Event;
use crate::model::hook::HookEvent;
use crate::model::hook_delivery::{Delivery, DeliveryReport, DeliveryState, Payload};
use crate::model::ids::DeliveryId;
use crate::seal::Sealer;
use crate::store::hooks::Subscription;
use crate::store::{self, Outbox, StoreError, Tx};

/// Deliveries that wait in one hook's queue at most.
const QUEUE_LIMIT: u32 = 10_000;

/// Writes the deliveries of an event for the hooks that asked for it.
///
/// The payload is made here and not when it is sent, because what it tells of may be gone by then.
#[derive(Debug)]
pub struct HookOutbox {
    sealer: Sealer,
    catalogue: Arc<ArcSwap<Catalogue>>,
    ids: Ids,
}

impl HookOutbox {
    /// Takes what payloads are made of.
    pub fn new(sealer: Sealer, catalogue: Arc<ArcSwap<Catalogue>>, ids: Ids) -> Self {
        Self { sealer, catalogue, ids }
    }

    /// One that finds the queue full is kept as a result that says so.
    fn add(
        &self,
        tx: &Tx<'_>,
        to: &mut Subscription,
        event: HookEvent,
        payload: Payload,
    ) -> Result<(), StoreError> {
        let full = to.waiting >= QUEUE_LIMIT;
        let mut report = DeliveryReport::default();
        if full {
            report.message = format!(
                "Given up without an attempt: {QUEUE_LIMIT} earlier deliveries wait for this endpoint."
            );
        }
        let delivery = Delivery {
            id: DeliveryId::new(self.ids.next()),
            hook_id: to.hook,
            event,
            author: tx.author().clone(),
            payload,
            state: if full { DeliveryState::Failed } else { DeliveryState::Waiting },
            attempts: 0,
            report,
            created_at: tx.now(),
            updated_at: tx.now(),
        };
        store::hook_deliveries::insert(tx, &self.sealer, &delivery)?;
        if !full {
            store::hook_queue::lengthen(tx, to.hook)?;
            to.waiting += 1;
        }
        Ok(())
    }
}

impl Outbox for HookOutbox {
    fn enqueue(&self, tx: &Tx<'_>, event: &Event) -> Result<(), StoreError> {
        let (Some(app), Some(subject)) = (event.app(), Subject::of(event)) else { return Ok(()) };
        let kind = subject.hook_event();
        let mut subscriptions = store::hooks::list_subscriptions(tx, app)?;
        subscriptions.retain(|subscription| subscription.events.contains(kind));
        if subscriptions.is_empty() {
            return Ok(());
        }
        let catalogue = self.catalogue.load();
        let scene = Scene::load(tx, &self.sealer, &catalogue, app)?;
        for payload in payload::build(&scene, subject)? {
            for subscription in &mut subscriptions {
                self.add(tx, subscription, kind, payload.clone())?;
            }
        }
        Ok(())
    }
}
