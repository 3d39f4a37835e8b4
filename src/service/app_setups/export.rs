//! The blueprint of an app that exists: submitted under another name, it makes an equal app.

use std::collections::BTreeMap;

use crate::model::RuleError;
use crate::model::addon::Addon;
use crate::model::app::App;
use crate::model::blueprint::{
    Blueprint, BlueprintAddon, BlueprintApp, BlueprintAttachment, BlueprintChecks, BlueprintCoupling,
    BlueprintDrain, BlueprintFeature, BlueprintFilter, BlueprintFormation, BlueprintOptions,
    BlueprintReference, BlueprintRoute, BlueprintSchedule, BlueprintScope, BlueprintSite, BlueprintSource,
    BlueprintVar, PORT,
};
use crate::model::build::{BuildState, ImageReference};
use crate::model::catalogue::Catalogue;
use crate::model::config_var;
use crate::model::feature::FeatureState;
use crate::model::formation::{Formation, Port};
use crate::model::names::AppKey;
use crate::model::route::RoutePath;
use crate::seal::Sealer;
use crate::service::{Error, config_var_notes, features};
use crate::store::{self, Connection};

/// The sizes of `prod` spaces end so (`behaviour.md` §5); a blueprint names the size that both kinds of space have.
const PROD_SIZE: &str = "-prod";

/// The blueprint of an app; 422 when nothing of it was built, because then there is no source to make it of. In `socs`
/// spaces secrets are left out, and must be given by who makes the copy.
pub fn blueprint_of(
    connection: &Connection,
    sealer: &Sealer,
    catalogue: &Catalogue,
    app: &App,
) -> Result<Blueprint, Error> {
    let formations = store::formations::list(connection, app.id)?;
    let web = formations.iter().find(|formation| formation.process_type.is_web());
    let port = web.and_then(|web| web.port).unwrap_or(Port::DEFAULT);
    let options = |formation: &Formation| options_of(connection, sealer, app, formation);
    let formation = formations
        .iter()
        .map(|one| Ok((one.process_type.to_string(), formation_of(one, options(one)?))))
        .collect::<Result<_, Error>>()?;
    Ok(Blueprint {
        app: BlueprintApp {
            name: app.name.to_string(),
            organization: app.organization.name.to_string(),
            org: None,
            space: app.space.name.to_string(),
            stack: Some(app.space.stack.clone()),
            region: Some(catalogue.region.name.clone()),
            description: app.description.clone(),
            labels: app.labels.clone(),
            locked: false,
            personal: false,
        },
        env: env_of(connection, sealer, app, port)?,
        formation,
        addons: addons_of(connection, app)?,
        attachments: attachments_of(connection, app)?,
        source_blob: source_of(connection, sealer, app)?,
        log_drains: drains_of(connection, sealer, app)?,
        couplings: couplings_of(connection, app)?,
        features: features_of(connection, catalogue, app)?,
        filters: filters_of(connection, sealer, app)?,
        sites: sites_of(connection, app)?,
    })
}

fn env_of(
    connection: &Connection,
    sealer: &Sealer,
    app: &App,
    port: Port,
) -> Result<BTreeMap<String, BlueprintVar>, Error> {
    let notes = config_var_notes::list(connection, sealer, app.id)?;
    let mut env = BTreeMap::new();
    for (name, value) in store::config_vars::list(connection, sealer, app.id)? {
        let note = notes.get(&name).cloned().unwrap_or_default();
        let shown = shown(app, name.as_str(), value.reveal());
        let required = note.required || shown.is_none();
        let var = BlueprintVar { value: shown, description: note.description, required };
        env.insert(name.to_string(), var);
    }
    let port = BlueprintVar { value: Some(port.get().to_string()), ..BlueprintVar::default() };
    env.insert(PORT.to_owned(), port);
    Ok(env)
}

/// The value, unless the space's compliance hides it (reading 13).
fn shown(app: &App, name: &str, value: &str) -> Option<String> {
    let hidden = app.space.compliance.is_socs() && config_var::redacted(name, value) != value;
    (!hidden).then(|| value.to_owned())
}

fn formation_of(formation: &Formation, options: Option<BlueprintOptions>) -> BlueprintFormation {
    let size = formation.size.as_str();
    let schedule = formation.scheduled().map(|scheduled| BlueprintSchedule {
        cron: scheduled.schedule.pattern().to_owned(),
        time_zone: Some(scheduled.schedule.zone().to_owned()),
        overlap: Some(scheduled.schedule.overlap.to_string()),
    });
    BlueprintFormation {
        quantity: Some(i64::from(formation.quantity.get())),
        size: Some(size.strip_suffix(PROD_SIZE).unwrap_or(size).to_owned()),
        command: formation.command.command().map(|command| command.as_str().to_owned()),
        port: formation.port.map(|port| i64::from(port.get())),
        healthcheck: formation.healthcheck.as_ref().map(|path| path.as_str().to_owned()),
        health_check: None,
        oneoff: formation.is_oneoff().then_some(true),
        schedule,
        options,
    }
}

fn options_of(
    connection: &Connection,
    sealer: &Sealer,
    app: &App,
    formation: &Formation,
) -> Result<Option<BlueprintOptions>, Error> {
    let (image, env) = store::oneoffs::options_of(connection, sealer, formation.id)?;
    let vars = env.iter();
    let env: BTreeMap<String, String> = vars
        .filter_map(|(name, value)| Some((name.to_string(), shown(app, name.as_str(), value.reveal())?)))
        .collect();
    let env = (!env.is_empty()).then_some(env);
    Ok((image.is_some() || env.is_some()).then_some(BlueprintOptions { image, env }))
}

/// A name that somebody gave is kept; of one that was drawn the copy draws another.
fn addons_of(connection: &Connection, app: &App) -> Result<BTreeMap<String, BlueprintAddon>, Error> {
    let addon = |addon: Addon| {
        let drawn = addon.name.is_drawn(&addon.service.name);
        let key = if drawn && addon.is_primary { addon.service.name.as_str() } else { addon.name.as_str() };
        let plan = BlueprintAddon { plan: addon.plan.name.to_string(), primary: Some(addon.is_primary) };
        (key.to_owned(), plan)
    };
    Ok(store::addons::list_by_app(connection, app.id)?.into_iter().map(addon).collect())
}

fn attachments_of(connection: &Connection, app: &App) -> Result<Vec<BlueprintAttachment>, Error> {
    let mut attachments = Vec::new();
    for used in store::addon_attachments::list_by_app(connection, app.id)? {
        let found = if used.is_owned { None } else { store::addons::find(connection, used.addon)? };
        let Some(addon) = found else { continue };
        attachments.push(BlueprintAttachment {
            id: addon.id.to_string(),
            name: addon.name.to_string(),
            app: AppKey::of(&addon.app.name, &addon.app.space).to_string(),
            alias: (!used.name.is_drawn(&addon.service.name)).then(|| used.name.to_string()),
        });
    }
    Ok(attachments)
}

/// The image of the newest build that made one.
fn source_of(connection: &Connection, sealer: &Sealer, app: &App) -> Result<BlueprintSource, Error> {
    let none = || {
        RuleError::new(format!(
            "The app {} has no successful build yet, so there is no blueprint of it; build it first.",
            app.key()
        ))
    };
    let builds = store::builds::list(connection, sealer, app.id)?;
    let built = builds.iter().rev().find(|build| matches!(build.state, BuildState::Succeeded { .. }));
    let build = built.ok_or_else(none)?;
    let installation = store::installation::find(connection)?.ok_or_else(none)?;
    let image = ImageReference::of_build(installation, app.id, build.id);
    Ok(BlueprintSource {
        checksum: String::new(),
        url: format!("docker://{}", image.as_str()),
        version: build.commit.version.clone(),
    })
}

fn drains_of(connection: &Connection, sealer: &Sealer, app: &App) -> Result<Vec<BlueprintDrain>, Error> {
    let drains = store::log_drains::list(connection, sealer, app.id)?.into_iter();
    let socs = app.space.compliance.is_socs();
    let drain = |drain: crate::model::log_drain::LogDrain| BlueprintDrain {
        url: if socs { drain.url.shown() } else { drain.url.reveal().to_owned() },
        token: Some(drain.token.reveal().to_owned()),
    };
    Ok(drains.map(drain).collect())
}

fn couplings_of(connection: &Connection, app: &App) -> Result<Vec<BlueprintCoupling>, Error> {
    let coupling = store::pipeline_couplings::find_by_app(connection, app.id)?;
    Ok(coupling
        .map(|coupling| BlueprintCoupling {
            pipeline: coupling.pipeline.name.to_string(),
            stage: coupling.stage.to_string(),
            required_status_checks: BlueprintChecks {
                contexts: coupling
                    .required_checks
                    .contexts()
                    .iter()
                    .map(|context| context.as_str().to_owned())
                    .collect(),
            },
        })
        .into_iter()
        .collect())
}

fn features_of(
    connection: &Connection,
    catalogue: &Catalogue,
    app: &App,
) -> Result<Vec<BlueprintFeature>, Error> {
    let settings = features::list(connection, catalogue, app.id)?.into_iter();
    Ok(settings
        .filter(|setting| setting.offered.state != FeatureState::Deprecated)
        .map(|setting| BlueprintFeature {
            id: setting.offered.id.to_string(),
            name: setting.offered.feature.to_string(),
            enabled: setting.enabled,
        })
        .collect())
}

fn filters_of(connection: &Connection, sealer: &Sealer, app: &App) -> Result<Vec<BlueprintFilter>, Error> {
    let texts = |paths: &[RoutePath]| paths.iter().map(|path| path.as_str().to_owned()).collect();
    let attachments = store::filter_attachments::list_by_app(connection, sealer, app.id)?.into_iter();
    Ok(attachments
        .map(|attachment| BlueprintFilter {
            filter: BlueprintReference { id: attachment.filter.id.to_string() },
            options: BlueprintScope {
                includes: texts(&attachment.scope.includes),
                excludes: texts(&attachment.scope.excludes),
            },
        })
        .collect())
}

fn sites_of(connection: &Connection, app: &App) -> Result<BTreeMap<String, BlueprintSite>, Error> {
    let mut sites: BTreeMap<String, BlueprintSite> = BTreeMap::new();
    for route in store::routes::list_by_app(connection, app.id)? {
        sites.entry(route.site.domain.to_string()).or_default().routes.push(BlueprintRoute {
            source_path: route.source.as_str().to_owned(),
            target_path: route.target.as_str().to_owned(),
        });
    }
    Ok(sites)
}
