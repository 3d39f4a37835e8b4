//! What a preview takes over from its source, in the transaction that makes it.

use super::missing_value;
use crate::ids::Ids;
use crate::model::app::App;
use crate::model::config_var::{self, ConfigValue, ConfigVars};
use crate::model::event::{ChangeKind, ConfigVarChanged, Event};
use crate::model::feature::Feature;
use crate::model::filter::FilterAttachment;
use crate::model::formation::{Formation, Quantity, Runs};
use crate::model::ids::{CouplingId, FilterAttachmentId, FormationId, LogDrainId};
use crate::model::log_drain::{DrainProgress, DrainToken, LogDrain};
use crate::model::names::ConfigVarName;
use crate::model::pipeline::{AppReference, Coupling, RequiredChecks, Stage};
use crate::model::preview::{PREVIEW_APP, PREVIEW_APP_SOURCE};
use crate::seal::Sealer;
use crate::service::{Error, config_vars};
use crate::store::{self, Tx};

/// Copies from one app to another.
pub(super) struct Copier<'t, 'c> {
    pub(super) tx: &'t mut Tx<'c>,
    pub(super) sealer: &'t Sealer,
    pub(super) ids: &'t Ids,
    pub(super) source: &'t App,
    pub(super) target: &'t App,
}

impl Copier<'_, '_> {
    /// All but those about previews, or a pull request of a pull request would have one; each build is released.
    pub(super) fn features(&mut self, enabled: &[Feature]) -> Result<(), Error> {
        let copied = enabled.iter().copied().filter(|feature| !feature.is_about_previews());
        for feature in copied.chain([Feature::AutoRelease]) {
            store::features::set(self.tx, self.target.id, feature, true)?;
        }
        Ok(())
    }

    /// All config vars with their notes, and what tells the app that it is a preview. One that is required must have
    /// a value.
    pub(super) fn config_vars(&mut self) -> Result<(), Error> {
        let mut vars = store::config_vars::list(self.tx, self.sealer, self.source.id)?;
        let notes = store::config_var_notes::list(self.tx, self.source.id)?;
        let has_value = |name| vars.get(name).is_some_and(|value| !value.reveal().is_empty());
        if let Some((name, _)) = notes.iter().find(|(name, note)| note.required && !has_value(name)) {
            return Err(missing_value(self.source, name).into());
        }
        vars.retain(|name, _| !config_var::is_reserved(name));
        for (name, app) in [(PREVIEW_APP, self.target), (PREVIEW_APP_SOURCE, self.source)] {
            let value = ConfigValue::from_stored(app.key().to_string());
            vars.insert(ConfigVarName::from_stored(name.to_owned()), value);
        }
        config_vars::check_total(&vars)?;
        self.set(vars)?;
        for (name, note) in &notes {
            store::config_var_notes::set(self.tx, self.target.id, name, note)?;
        }
        Ok(())
    }

    fn set(&mut self, vars: ConfigVars) -> Result<(), Error> {
        let mut changes = Vec::with_capacity(vars.len());
        for (name, value) in vars {
            store::config_vars::set(self.tx, self.sealer, self.target.id, &name, &value)?;
            changes.push(ConfigVarChanged { change: ChangeKind::Create, name });
        }
        self.tx.record(Event::ConfigVarsChanged { app: self.target.id, changes })?;
        Ok(())
    }

    /// `web`, or all of them, with one dyno each. Schedules stay with the source: a preview is looked at, and does not
    /// do its source's work a second time.
    pub(super) fn formations(&mut self, all: bool) -> Result<(), Error> {
        let mut formations = store::formations::list(self.tx, self.source.id)?;
        formations.retain(|formation| all || formation.process_type.is_web());
        for formation in formations {
            let (runs, quantity) = match formation.runs {
                Runs::Always => (Runs::Always, Quantity::ONE),
                Runs::Once(_) => (Runs::Once(None), Quantity::ZERO),
            };
            let (image, env) = store::oneoffs::options_of(self.tx, self.sealer, formation.id)?;
            let copy = Formation {
                id: FormationId::new(self.ids.next()),
                app_id: self.target.id,
                quantity,
                runs,
                restarts: 0,
                created_at: self.tx.now(),
                updated_at: self.tx.now(),
                ..formation
            };
            store::formations::insert(self.tx, &copy)?;
            let env = Some(&env).filter(|env| !env.is_empty());
            store::oneoffs::set_options(self.tx, self.sealer, copy.id, (image.as_deref(), env))?;
            let (app, formation, process_type) = (copy.app_id, copy.id, copy.process_type);
            self.tx.record(Event::FormationCreated { app, formation, process_type })?;
        }
        Ok(())
    }

    pub(super) fn drains(&mut self) -> Result<(), Error> {
        for drain in store::log_drains::list(self.tx, self.sealer, self.source.id)? {
            let copy = LogDrain {
                id: LogDrainId::new(self.ids.next()),
                owner: self.target.id.into(),
                token: DrainToken::new(uuid::Uuid::new_v4()),
                progress: DrainProgress::default(),
                created_at: self.tx.now(),
                updated_at: self.tx.now(),
                ..drain
            };
            store::log_drains::insert(self.tx, self.sealer, &copy)?;
            self.tx.record(Event::LogDrainCreated { app: self.target.id, drain: copy.id })?;
        }
        Ok(())
    }

    pub(super) fn filters(&mut self) -> Result<(), Error> {
        for attached in store::filter_attachments::list_by_app(self.tx, self.sealer, self.source.id)? {
            let copy = FilterAttachment {
                id: FilterAttachmentId::new(self.ids.next()),
                app: AppReference::of(self.target),
                created_at: self.tx.now(),
                updated_at: self.tx.now(),
                ..attached
            };
            store::filter_attachments::insert(self.tx, &copy)?;
            let (app, filter, attachment) = (copy.app.id, copy.filter.id, copy.id);
            self.tx.record(Event::FilterAttached { app, filter, attachment })?;
        }
        Ok(())
    }

    /// Adds the preview to the stage `review` of its source's pipeline.
    pub(super) fn coupling(&mut self) -> Result<(), Error> {
        let Some(own) = store::pipeline_couplings::find_by_app(self.tx, self.source.id)? else {
            return Ok(());
        };
        let coupling = Coupling {
            id: CouplingId::new(self.ids.next()),
            pipeline: own.pipeline,
            app: AppReference::of(self.target),
            stage: Stage::Review,
            required_checks: RequiredChecks::default(),
            release: None,
            created_at: self.tx.now(),
            updated_at: self.tx.now(),
        };
        let (app, pipeline) = (self.target.id, coupling.pipeline.id);
        store::pipeline_couplings::insert(self.tx, &coupling)?;
        store::pipelines::touch(self.tx, pipeline)?;
        self.tx.record(Event::CouplingCreated { app, pipeline, coupling: coupling.id })?;
        Ok(())
    }
}
