//! What an attempt leads to: the next state of an addon, in one transaction.

use std::time::Duration;

use super::worker::{AddonParts, Done};
use super::{Outcome, ProviderError, Provisioned, Rework, Work, Working};
use crate::model::addon::{Addon, AddonState, PlanReference};
use crate::model::addon_attachment::AttachmentState;
use crate::model::addon_job::{AddonJob, AddonWork, AddonWorkKind};
use crate::model::config_var::ConfigVars;
use crate::model::event::Event;
use crate::model::ids::AddonAttachmentId;
use crate::model::principal::Principal;
use crate::seal::Sealer;
use crate::store::addons::ProviderData;
use crate::store::{self, StoreError, Tx};

/// Attempts at what fails for a reason that may pass; removals are tried until they are done.
const ATTEMPTS: u32 = 8;
/// How long a provider may work on one thing, where its plan does not say.
const PATIENCE: Duration = Duration::from_hours(1);
/// The longest pause between two attempts.
const LONGEST_RETRY: Duration = Duration::from_hours(1);

/// Writes down what came of an attempt.
pub(super) async fn record(
    parts: &AddonParts,
    job: AddonJob,
    work: Work,
    done: Result<Done, ProviderError>,
) -> Result<(), StoreError> {
    let done = match done {
        Err(ProviderError::Store(error)) => return Err(error),
        other => other,
    };
    let upkeep = upkeep_period(parts, &job, &work);
    let settling = Settling { sealer: parts.sealer.clone(), retry: parts.retry, upkeep, work };
    parts.store.write(&Principal::daemon(), move |tx| settling.settle(tx, job, done)).await
}

/// Of the plan that the addon has afterwards.
fn upkeep_period(parts: &AddonParts, job: &AddonJob, work: &Work) -> Option<Duration> {
    let provider = parts.providers.of(&work.addon.service.provider)?;
    match &job.work {
        AddonWork::ChangePlan(plan) => provider.upkeep_period(parts.offer.current().plan_of(plan.id)?.1),
        AddonWork::Provision
        | AddonWork::Bind(_)
        | AddonWork::Unbind(_)
        | AddonWork::Deprovision
        | AddonWork::Upkeep => provider.upkeep_period(work.plan.as_ref()?),
    }
}

/// Lets what an action or the upkeep led to take effect for every app that uses the addon.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    addon: &Addon,
    rework: &Rework,
) -> Result<(), StoreError> {
    if let Some(data) = &rework.data {
        store::addons::set_data(tx, sealer, addon.id, data)?;
    }
    let Some(variables) = &rework.variables else { return Ok(()) };
    for attachment in store::addon_attachments::list_by_addon(tx, addon.id)? {
        if attachment.state == AttachmentState::Bound {
            store::addon_attachments::set_variables(tx, sealer, attachment.id, variables)?;
            let (app, attachment) = (attachment.app.id, attachment.id);
            tx.record(Event::AddonVariablesChanged { app, addon: addon.id, attachment })?;
        }
    }
    Ok(())
}

struct Settling {
    sealer: Sealer,
    retry: Duration,
    upkeep: Option<Duration>,
    work: Work,
}

impl Settling {
    fn settle(
        self,
        tx: &mut Tx<'_>,
        job: AddonJob,
        done: Result<Done, ProviderError>,
    ) -> Result<(), StoreError> {
        // What the provider knows again counts even when nobody needs the work any more.
        self.keep_data(tx, data_of(&done))?;
        if store::addon_jobs::find(tx, job.number)?.is_none() {
            return Ok(());
        }
        match done {
            Ok(done) => self.advance(tx, job, done),
            Err(ProviderError::Later(reason)) => self.put_off(tx, job, &reason),
            Err(ProviderError::Refused(reason)) => self.fail(tx, &job, &reason, false),
            Err(ProviderError::Broken(reason)) => self.fail(tx, &job, &reason, true),
            Err(ProviderError::Store(error)) => Err(error),
        }
    }

    fn advance(&self, tx: &mut Tx<'_>, job: AddonJob, done: Done) -> Result<(), StoreError> {
        match done {
            Done::Provisioned(Outcome::Done(made)) => self.provisioned(tx, &job, made),
            Done::Changed(Outcome::Done(changed)) => self.changed(tx, &job, changed.rebind),
            Done::Bound(Outcome::Done(variables)) => self.bound(tx, &job, &variables),
            Done::Removed(Outcome::Done(_)) => removed(tx, &job),
            Done::KeptUp(rework) => {
                apply(tx, &self.sealer, &self.work.addon, &rework)?;
                store::addon_jobs::remove(tx, job.number)?;
                self.plan_upkeep(tx)
            }
            Done::Moot => store::addon_jobs::remove(tx, job.number),
            Done::Provisioned(Outcome::Working(working))
            | Done::Changed(Outcome::Working(working))
            | Done::Bound(Outcome::Working(working))
            | Done::Removed(Outcome::Working(working)) => self.wait(tx, job, working),
        }
    }

    /// The provider works on: it is asked again later, unless it takes too long.
    fn wait(&self, tx: &mut Tx<'_>, mut job: AddonJob, working: Working) -> Result<(), StoreError> {
        let patience = self.work.plan.as_ref().and_then(|plan| plan.patience).unwrap_or(PATIENCE);
        let since = job.begun_at.unwrap_or(tx.now());
        if !job.work.is_removal() && tx.now().since(since) > patience {
            let reason = format!("The provider was not ready within {} s.", patience.as_secs());
            return self.fail(tx, &job, &reason, true);
        }
        job.is_accepted = true;
        job.operation = working.operation;
        job.attempts = 0;
        job.due_at = tx.now().plus(working.poll_after);
        store::addon_jobs::update(tx, &job)
    }

    fn put_off(&self, tx: &mut Tx<'_>, mut job: AddonJob, reason: &str) -> Result<(), StoreError> {
        job.attempts += 1;
        let endless = job.work.is_removal() || job.work == AddonWork::Upkeep;
        if !endless && job.attempts >= ATTEMPTS {
            return self.fail(tx, &job, reason, true);
        }
        let pause = self.retry.saturating_mul(1 << (job.attempts - 1).min(20)).min(LONGEST_RETRY);
        job.due_at = tx.now().plus(pause);
        store::addon_jobs::update(tx, &job)
    }

    /// It will not be done. `is_left`: something of it may be at the provider.
    fn fail(&self, tx: &mut Tx<'_>, job: &AddonJob, reason: &str, is_left: bool) -> Result<(), StoreError> {
        let mut addon = self.present(tx)?;
        match &job.work {
            AddonWork::Provision => {
                store::addon_jobs::remove(tx, job.number)?;
                fail_addon(tx, addon, reason, is_left)
            }
            AddonWork::ChangePlan(_) => {
                store::addon_jobs::remove(tx, job.number)?;
                addon.state = AddonState::Provisioned;
                reason.clone_into(&mut addon.reason);
                store::addons::update(tx, &addon)?;
                tx.record(Event::AddonUpdated { app: addon.app.id, addon: addon.id })
            }
            AddonWork::Bind(id) => {
                store::addon_jobs::remove(tx, job.number)?;
                fail_attachment(tx, addon, *id, reason, is_left)
            }
            // The provider says that it cannot be taken back; that the addon goes matters more.
            AddonWork::Unbind(_) if !is_left => store::addon_jobs::remove(tx, job.number),
            AddonWork::Unbind(_) | AddonWork::Deprovision | AddonWork::Upkeep => {
                self.put_off(tx, AddonJob { is_accepted: false, operation: None, ..job.clone() }, reason)
            }
        }
    }

    /// The addon is there; its app needs the variables now.
    fn provisioned(&self, tx: &mut Tx<'_>, job: &AddonJob, made: Provisioned) -> Result<(), StoreError> {
        store::addon_jobs::remove(tx, job.number)?;
        let mut addon = self.present(tx)?;
        addon.web_url = made.web_url;
        store::addons::update(tx, &addon)?;
        let own = store::addon_attachments::list_by_addon(tx, addon.id)?.into_iter().find(|one| one.is_owned);
        let Some(own) = own else { return Ok(()) };
        if self.work.plan.as_ref().is_none_or(|plan| plan.bindable) {
            return store::addon_jobs::insert(tx, addon.id, &AddonWork::Bind(own.id), tx.now());
        }
        self.complete(tx, own.id, &ConfigVars::new())
    }

    fn bound(&self, tx: &mut Tx<'_>, job: &AddonJob, variables: &ConfigVars) -> Result<(), StoreError> {
        store::addon_jobs::remove(tx, job.number)?;
        match job.work.attachment() {
            Some(attachment) => self.complete(tx, attachment, variables),
            None => Ok(()),
        }
    }

    /// An app has its variables. With those of its own app an addon is ready.
    fn complete(
        &self,
        tx: &mut Tx<'_>,
        id: AddonAttachmentId,
        variables: &ConfigVars,
    ) -> Result<(), StoreError> {
        let Some(mut attachment) = store::addon_attachments::find(tx, id)? else { return Ok(()) };
        store::addon_attachments::set_variables(tx, &self.sealer, id, variables)?;
        attachment.state = AttachmentState::Bound;
        attachment.reason.clear();
        store::addon_attachments::update(tx, &attachment)?;
        let mut addon = self.present(tx)?;
        if attachment.is_owned && addon.state == AddonState::Provisioning {
            addon.state = AddonState::Provisioned;
            addon.reason.clear();
            store::addons::update(tx, &addon)?;
            tx.record(Event::AddonProvisioned { app: addon.app.id, addon: addon.id })?;
            self.plan_upkeep(tx)?;
        }
        tx.record(Event::AddonVariablesChanged { app: attachment.app.id, addon: addon.id, attachment: id })
    }

    fn changed(&self, tx: &mut Tx<'_>, job: &AddonJob, rebind: bool) -> Result<(), StoreError> {
        store::addon_jobs::remove(tx, job.number)?;
        let AddonWork::ChangePlan(plan) = &job.work else { return Ok(()) };
        let mut addon = self.present(tx)?;
        addon.plan = PlanReference::clone(plan);
        addon.state = AddonState::Provisioned;
        addon.reason.clear();
        store::addons::update(tx, &addon)?;
        if rebind {
            for attachment in store::addon_attachments::list_by_addon(tx, addon.id)? {
                store::addon_jobs::insert(tx, addon.id, &AddonWork::Bind(attachment.id), tx.now())?;
            }
        }
        store::addon_jobs::remove_of_addon(tx, addon.id, AddonWorkKind::Upkeep)?;
        self.plan_upkeep(tx)?;
        tx.record(Event::AddonPlanChanged { app: addon.app.id, addon: addon.id })
    }

    /// The addon as it is now, also a deleted one.
    fn present(&self, tx: &Tx<'_>) -> Result<Addon, StoreError> {
        let id = self.work.addon.id;
        store::addons::find_any(tx, id)?
            .ok_or_else(|| StoreError::Content(format!("the addon {id} of a job does not exist")))
    }

    fn keep_data(&self, tx: &Tx<'_>, data: Option<&ProviderData>) -> Result<(), StoreError> {
        data.map_or(Ok(()), |data| store::addons::set_data(tx, &self.sealer, self.work.addon.id, data))
    }

    fn plan_upkeep(&self, tx: &Tx<'_>) -> Result<(), StoreError> {
        let Some(period) = self.upkeep else { return Ok(()) };
        store::addon_jobs::insert(tx, self.work.addon.id, &AddonWork::Upkeep, tx.now().plus(period))
    }
}

fn data_of(done: &Result<Done, ProviderError>) -> Option<&ProviderData> {
    match done.as_ref().ok()? {
        Done::Provisioned(Outcome::Done(made)) => made.data.as_ref(),
        Done::Changed(Outcome::Done(changed)) => changed.data.as_ref(),
        Done::Provisioned(Outcome::Working(working))
        | Done::Changed(Outcome::Working(working))
        | Done::Bound(Outcome::Working(working))
        | Done::Removed(Outcome::Working(working)) => working.data.as_ref(),
        Done::Bound(Outcome::Done(_)) | Done::Removed(Outcome::Done(_)) | Done::KeptUp(_) | Done::Moot => {
            None
        }
    }
}

fn fail_addon(tx: &mut Tx<'_>, mut addon: Addon, reason: &str, is_left: bool) -> Result<(), StoreError> {
    addon.state = AddonState::Failed;
    reason.clone_into(&mut addon.reason);
    store::addons::update(tx, &addon)?;
    if is_left {
        store::addon_jobs::insert(tx, addon.id, &AddonWork::Deprovision, tx.now())?;
    }
    tx.record(Event::AddonFailed { app: addon.app.id, addon: addon.id, reason: reason.to_owned() })
}

fn fail_attachment(
    tx: &mut Tx<'_>,
    addon: Addon,
    id: AddonAttachmentId,
    reason: &str,
    is_left: bool,
) -> Result<(), StoreError> {
    let Some(mut attachment) = store::addon_attachments::find(tx, id)? else { return Ok(()) };
    if is_left {
        store::addon_jobs::insert(tx, addon.id, &AddonWork::Unbind(id), tx.now())?;
    }
    // One that has variables keeps them: what failed was to get newer ones.
    if attachment.state == AttachmentState::Binding {
        attachment.state = AttachmentState::Failed;
    }
    reason.clone_into(&mut attachment.reason);
    store::addon_attachments::update(tx, &attachment)?;
    if attachment.is_owned && addon.state == AddonState::Provisioning {
        return fail_addon(tx, addon, reason, true);
    }
    tx.record(Event::AddonAttachmentUpdated { app: attachment.app.id, addon: addon.id, attachment: id })
}

fn removed(tx: &mut Tx<'_>, job: &AddonJob) -> Result<(), StoreError> {
    store::addon_jobs::remove(tx, job.number)?;
    if job.work != AddonWork::Deprovision {
        return Ok(());
    }
    let Some(addon) = store::addons::find_any(tx, job.addon)? else { return Ok(()) };
    tx.record(Event::AddonDeprovisioned { app: addon.app.id, addon: addon.id })
}
