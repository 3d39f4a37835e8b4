//! The provider of the built-in services: writes down what shall be, and tells how far it is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Context;
use crate::addons::backups;
use crate::addons::{Changed, Outcome, Provider, ProviderError, Provisioned, Removed, Work, Working};
use crate::failpoint;
use crate::ids::random_secret;
use crate::model::addon::{Addon, PlanReference};
use crate::model::addon_attachment::AddonAttachment;
use crate::model::addon_backup::{AddonBackup, BackupOrigin, BackupState};
use crate::model::addon_engine::{PlanEngine, ServiceEngine, fill_map};
use crate::model::addon_instance::{AddonHost, AddonInstance, InstancePhase, InstanceSecrets};
use crate::model::config_var::{ConfigValue, ConfigVars};
use crate::model::ids::{AddonBackupId, AddonId};
use crate::model::journal::JournalStep;
use crate::model::names::ConfigVarName;
use crate::model::principal::Principal;
use crate::store::{self, StoreError, Tx};

/// When the worker asks again.
const POLL_AFTER: Duration = Duration::from_millis(500);
/// Characters of a password: 128 random bits in hexadecimal.
const PASSWORD_LENGTH: usize = 32;
/// Characters of an addon's id that tell its host from another of its name.
const ID_PART: usize = 6;

/// Makes addons in containers of this host's engine.
#[derive(Debug, Clone)]
pub struct EngineProvider(Arc<Context>);

impl EngineProvider {
    /// A provider whose instances are kept by [`super::Instances`] of the same context.
    pub fn new(context: Arc<Context>) -> Self {
        Self(context)
    }

    async fn find(&self, addon: AddonId) -> Result<Option<AddonInstance>, StoreError> {
        let sealer = self.0.sealer.clone();
        self.0.store.read(move |c| store::addon_instances::find(c, &sealer, addon)).await
    }

    fn service(&self, addon: &Addon) -> Result<Arc<ServiceEngine>, ProviderError> {
        let catalogue = self.0.catalogue.load();
        let service = catalogue.addon_services.iter().find(|one| one.name == addon.service.name);
        service.and_then(|service| service.engine.clone()).ok_or_else(|| {
            ProviderError::Refused(format!(
                "The catalogue has no [addon_service.engine] for the service {}.",
                addon.service.name
            ))
        })
    }

    fn plan(&self, name: &str) -> Result<PlanEngine, ProviderError> {
        let catalogue = self.0.catalogue.load();
        let mut plans = catalogue.addon_services.iter().flat_map(|service| &service.plans);
        plans.find(|plan| plan.name.as_str() == name).and_then(|plan| plan.engine.clone()).ok_or_else(|| {
            ProviderError::Refused(format!(
                "The catalogue has no [addon_service.plan.engine] for the plan {name}."
            ))
        })
    }

    /// Writes down that there shall be an instance.
    async fn begin(&self, addon: &Addon) -> Result<(), ProviderError> {
        let (service, plan) = (self.service(addon)?, self.plan(addon.plan.name.as_str())?);
        let mut instance = AddonInstance {
            addon: addon.id,
            service: addon.service.name.as_str().to_owned(),
            plan: addon.plan.name.as_str().to_owned(),
            host: AddonHost::of(addon.name.as_str(), None),
            image: service.image.clone(),
            secrets: InstanceSecrets { password: password(), admin_password: password() },
            generation: 0,
            phase: InstancePhase::Making,
            reason: String::new(),
            memory_mib: plan.memory_mib,
            backup_due_at: None,
            created_at: self.0.clock.now(),
        };
        let sealer = self.0.sealer.clone();
        let write = move |tx: &mut Tx<'_>| {
            if store::addon_instances::has_host(tx, &instance.host)? {
                let id = instance.addon.uuid().simple().to_string();
                let part = id.get(id.len().saturating_sub(ID_PART)..);
                instance.host = AddonHost::of(instance.host.label(), part);
            }
            store::addon_instances::insert(tx, &sealer, &instance)
        };
        self.0.store.write(&Principal::daemon(), write).await?;
        failpoint::reached(JournalStep::InstanceRecorded);
        Ok(())
    }

    /// Changes an instance that is there.
    async fn change(
        &self,
        addon: AddonId,
        change: impl FnOnce(&mut Tx<'_>, &mut AddonInstance) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let sealer = self.0.sealer.clone();
        let write = move |tx: &mut Tx<'_>| {
            if let Some(mut instance) = store::addon_instances::find(tx, &sealer, addon)? {
                change(tx, &mut instance)?;
                store::addon_instances::update(tx, &instance)?;
            }
            Ok::<_, StoreError>(())
        };
        self.0.store.write(&Principal::daemon(), write).await?;
        self.0.wake.activate();
        Ok(())
    }

    /// Whether the instance runs, reachable in the networks of exactly the spaces that use it.
    async fn is_settled(&self, addon: AddonId) -> Result<bool, ProviderError> {
        let settled = super::is_settled(&self.0, addon).await;
        settled.map_err(|error| ProviderError::Later(error.to_string()))
    }
}

#[async_trait]
impl Provider for EngineProvider {
    async fn provision(&self, work: &Work) -> Result<Outcome<Provisioned>, ProviderError> {
        match self.find(work.addon.id).await? {
            None => self.begin(&work.addon).await?,
            Some(instance) => match instance.phase {
                InstancePhase::Ready => return Ok(Outcome::Done(Provisioned::default())),
                InstancePhase::Failed => return Err(ProviderError::Broken(instance.reason)),
                InstancePhase::Making | InstancePhase::Removing => {}
            },
        }
        self.0.wake.activate();
        Ok(working())
    }

    async fn change_plan(
        &self,
        work: &Work,
        plan: &PlanReference,
    ) -> Result<Outcome<Changed>, ProviderError> {
        let wanted = self.plan(plan.name.as_str())?;
        let Some(instance) = self.find(work.addon.id).await? else {
            return Err(ProviderError::Refused("There is nothing to give another plan to.".to_owned()));
        };
        if instance.plan != plan.name.as_str() || instance.memory_mib != wanted.memory_mib {
            let (name, now) = (plan.name.as_str().to_owned(), self.0.clock.now());
            self.change(work.addon.id, move |_, instance| {
                instance.plan = name;
                instance.memory_mib = wanted.memory_mib;
                instance.backup_due_at = wanted.backups.and_then(|backups| backups.schedule.next(now));
                Ok(())
            })
            .await?;
            return Ok(working());
        }
        let settled = self.is_settled(work.addon.id).await?;
        Ok(if settled { Outcome::Done(Changed::default()) } else { working() })
    }

    async fn bind(&self, work: &Work, _to: &AddonAttachment) -> Result<Outcome<ConfigVars>, ProviderError> {
        let Some(instance) = self.find(work.addon.id).await? else {
            return Err(ProviderError::Refused("There is nothing to connect to.".to_owned()));
        };
        if !self.is_settled(work.addon.id).await? {
            self.0.wake.activate();
            return Ok(working());
        }
        let service = self.service(&work.addon)?;
        let filled = fill_map(&service.variables, &instance.values(&service));
        let variables = filled
            .into_iter()
            .map(|(name, value)| (ConfigVarName::from_stored(name), ConfigValue::from_stored(value)));
        Ok(Outcome::Done(variables.collect()))
    }

    async fn unbind(&self, work: &Work, _from: &AddonAttachment) -> Result<Outcome<Removed>, ProviderError> {
        let apart = super::is_apart(&self.0, work.addon.id).await;
        if apart.map_err(|error| ProviderError::Later(error.to_string()))? {
            return Ok(Outcome::Done(Removed));
        }
        self.0.wake.activate();
        Ok(working())
    }

    async fn deprovision(&self, work: &Work) -> Result<Outcome<Removed>, ProviderError> {
        let Some(instance) = self.find(work.addon.id).await? else { return Ok(Outcome::Done(Removed)) };
        if instance.phase != InstancePhase::Removing {
            let last = self.last_backup(&work.addon, &instance);
            self.change(work.addon.id, move |tx, instance| {
                instance.phase = InstancePhase::Removing;
                last.map_or(Ok(()), |backup| store::addon_backups::insert(tx, &backup))
            })
            .await?;
            failpoint::reached(JournalStep::InstanceRemoving);
        }
        self.0.wake.activate();
        Ok(working())
    }
}

impl EngineProvider {
    /// What is made of an instance before it goes: only where apps have used it, and the service makes backups.
    fn last_backup(&self, addon: &Addon, instance: &AddonInstance) -> Option<AddonBackup> {
        let service = self.service(addon).ok().filter(|service| service.backup.is_some());
        service.filter(|_| instance.phase == InstancePhase::Ready)?;
        let now = self.0.clock.now();
        Some(AddonBackup {
            id: AddonBackupId::new(self.0.ids.next()),
            addon: addon.id,
            addon_name: addon.name.as_str().to_owned(),
            app: addon.app.id,
            service: instance.service.clone(),
            origin: BackupOrigin::Final,
            state: BackupState::Pending,
            created_at: now,
            expires_at: Some(now.plus(backups::FINAL_KEPT)),
        })
    }
}

fn working<T>() -> Outcome<T> {
    Outcome::Working(Working { operation: None, data: None, poll_after: POLL_AFTER })
}

fn password() -> String {
    let mut secret = random_secret();
    secret.truncate(PASSWORD_LENGTH);
    secret
}
