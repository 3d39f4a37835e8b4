//! Promotions: the slug of a release of one stage, released on apps of the next.
//!
//! Invariant: all targets get their release, or none does.

use super::releases::{self, Maker, NewRelease};
use super::{Error, apps, pipelines};
use crate::model::RuleError;
use crate::model::addon_service::AddonServiceName;
use crate::model::app::App;
use crate::model::event::Event;
use crate::model::ids::{AppId, PromotionId, PromotionTargetId, ReleaseId};
use crate::model::names::ConfigVarName;
use crate::model::pipeline::{
    AppReference, Coupling, Pipeline, PipelineReference, Promotion, PromotionTarget, Safety, Stage,
    TargetState,
};
use crate::model::principal::{Principal, Reach};
use crate::model::release::{Release, ReleaseKind, ReleaseState};
use crate::model::rule::shown;
use crate::store::{self, Connection, Store, Tx};

/// A promotion to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewPromotion {
    /// Name or id of a pipeline.
    pub pipeline: String,
    /// Id, key or name of the app to promote from.
    pub source: String,
    /// A release of that app; its current one when absent.
    pub release: Option<ReleaseId>,
    /// Ids, keys or names of the apps to promote to.
    pub targets: Vec<String>,
    pub safety: Safety,
}

/// The promotion of that id, refused when its source is not within reach.
pub fn resolve(connection: &Connection, reach: &Reach, text: &str) -> Result<Promotion, Error> {
    let unknown = || Error::NotFound(format!("The pipeline promotion {} does not exist.", shown(text)));
    let id: PromotionId = text.parse().map_err(|_| unknown())?;
    let promotion = store::pipeline_promotions::find(connection, id)?.ok_or_else(unknown)?;
    if reach.includes(promotion.source.organization) {
        return Ok(promotion);
    }
    Err(Error::Forbidden(format!(
        "The promotion {id} is of an app of an organization of which you are no member."
    )))
}

/// The promotions of apps within reach, oldest first.
pub fn list(connection: &Connection, reach: &Reach) -> Result<Vec<Promotion>, Error> {
    let mut all = store::pipeline_promotions::list(connection)?;
    all.retain(|promotion| reach.includes(promotion.source.organization));
    Ok(all)
}

/// Releases the slug of a source's release on every target, in one transaction (`behaviour.md` §19). Config
/// vars and formations of the targets stay as they are, but for what the slug's Procfile asks for.
pub async fn create(
    store: &Store,
    maker: &Maker,
    author: &Principal,
    new: NewPromotion,
) -> Result<Promotion, Error> {
    let (maker, reach) = (maker.clone(), author.reach.clone());
    let passes_checks = author.is_elevated() && new.safety == Safety::Unsafe;
    store
        .write(author, move |tx| {
            let pipeline = pipelines::resolve(tx, &new.pipeline)?;
            let source = apps::resolve(tx, &reach, &new.source)?;
            let stage = next_stage(tx, &pipeline, &source)?;
            let targets = targets(tx, &reach, &new.targets)?;
            let couplings = targets
                .iter()
                .map(|target| check_target(tx, &pipeline, &source, stage, target))
                .collect::<Result<Vec<_>, _>>()?;
            let release = source_release(tx, &source, new.release)?;
            if !passes_checks {
                check_statuses(tx, &release, &couplings)?;
            }
            if new.safety == Safety::Safe {
                check_config_vars(tx, &source, &targets)?;
                check_addon_services(tx, &source, &targets)?;
            }
            promote(tx, &maker, &pipeline, (&source, &release), &targets)
        })
        .await
}

/// The stage that the source is promoted to.
fn next_stage(connection: &Connection, pipeline: &Pipeline, source: &App) -> Result<Stage, Error> {
    let coupling = store::pipeline_couplings::find_by_app(connection, source.id)?
        .filter(|coupling| coupling.pipeline.id == pipeline.id)
        .ok_or_else(|| not_in(pipeline, source))?;
    let next = coupling.stage.next().ok_or_else(|| {
        RuleError::new(format!(
            "The app {} is in the stage {}, after which there is none to promote to.",
            source.key(),
            coupling.stage
        ))
    })?;
    Ok(next)
}

/// The apps that the client names, each once.
fn targets(connection: &Connection, reach: &Reach, texts: &[String]) -> Result<Vec<App>, Error> {
    if texts.is_empty() {
        return Err(RuleError::new("No target is given; name at least one app to promote to.").into());
    }
    let mut targets: Vec<App> = Vec::new();
    for text in texts {
        let app = apps::resolve(connection, reach, text)?;
        if targets.iter().any(|other| other.id == app.id) {
            return Err(RuleError::new(format!("The target {} is named twice.", app.key())).into());
        }
        targets.push(app);
    }
    Ok(targets)
}

/// Only apps of the next stage of the same pipeline are legal targets.
fn check_target(
    connection: &Connection,
    pipeline: &Pipeline,
    source: &App,
    stage: Stage,
    target: &App,
) -> Result<Coupling, Error> {
    if target.id == source.id {
        return Err(RuleError::new(format!("The app {} cannot be promoted to itself.", source.key())).into());
    }
    let coupling = store::pipeline_couplings::find_by_app(connection, target.id)?
        .filter(|coupling| coupling.pipeline.id == pipeline.id)
        .ok_or_else(|| not_in(pipeline, target))?;
    if coupling.stage != stage {
        return Err(RuleError::new(format!(
            "The app {} is in the stage {}; {} is promoted to apps in the stage {stage} only.",
            target.key(),
            coupling.stage,
            source.key()
        ))
        .into());
    }
    Ok(coupling)
}

/// The release to promote: one that succeeded on the source.
fn source_release(
    connection: &Connection,
    source: &App,
    wanted: Option<ReleaseId>,
) -> Result<Release, Error> {
    let Some(id) = wanted else {
        let current = store::releases::current(connection, source.id)?;
        return current.ok_or_else(|| {
            RuleError::new(format!(
                "The app {} has no release that succeeded, so there is nothing to promote.",
                source.key()
            ))
            .into()
        });
    };
    let release = store::releases::find_any(connection, id)?
        .ok_or_else(|| Error::NotFound(format!("The release {id} does not exist.")))?;
    if release.app_id != source.id {
        return Err(RuleError::new(format!(
            "The release {id} belongs to another app than {}.",
            source.key()
        ))
        .into());
    }
    if !matches!(release.state, ReleaseState::Succeeded { .. }) {
        return Err(RuleError::new(format!(
            "The release {id} of {} is {}; only one that succeeded can be promoted.",
            source.key(),
            release.state.status()
        ))
        .into());
    }
    Ok(release)
}

/// Every check that a target requires must have passed on the release.
fn check_statuses(connection: &Connection, release: &Release, targets: &[Coupling]) -> Result<(), Error> {
    let statuses = store::release_statuses::list(connection, release.id)?;
    for target in targets {
        let unmet = target.required_checks.unmet(&statuses);
        if !unmet.is_empty() {
            return Err(Error::Conflict(format!(
                "The release {} has not passed the status checks that {}-{} requires: {}.",
                release.id,
                target.app.name,
                target.app.space,
                unmet.iter().map(|context| context.as_str()).collect::<Vec<_>>().join(", ")
            )));
        }
    }
    Ok(())
}

/// A safe promotion wants addons of the same services on both sides, own or attached.
fn check_addon_services(connection: &Connection, source: &App, targets: &[App]) -> Result<(), Error> {
    let wanted = store::addons::service_names(connection, source.id)?;
    for target in targets {
        let found = store::addons::service_names(connection, target.id)?;
        if found != wanted {
            let differing: Vec<&str> =
                wanted.symmetric_difference(&found).map(AddonServiceName::as_str).collect();
            return Err(RuleError::new(format!(
                "The promotion is not safe: {} and {} do not both have addons of {}. Create or attach them, or promote with \"safe\": false.",
                source.key(),
                target.key(),
                differing.join(", ")
            ))
            .into());
        }
    }
    Ok(())
}

/// A safe promotion wants the same names of config vars on both sides.
fn check_config_vars(connection: &Connection, source: &App, targets: &[App]) -> Result<(), Error> {
    let wanted = store::config_vars::names(connection, source.id)?;
    for target in targets {
        let found = store::config_vars::names(connection, target.id)?;
        if found != wanted {
            return Err(RuleError::new(format!(
                "The promotion is not safe: the config vars of {} and {} differ in {}. Set them on both, or promote with \"safe\": false.",
                source.key(),
                target.key(),
                names(wanted.symmetric_difference(&found))
            ))
            .into());
        }
    }
    Ok(())
}

fn promote(
    tx: &mut Tx<'_>,
    maker: &Maker,
    pipeline: &Pipeline,
    (source, release): (&App, &Release),
    targets: &[App],
) -> Result<Promotion, Error> {
    let mut promotion = Promotion {
        id: PromotionId::new(maker.ids.next()),
        pipeline: PipelineReference { id: pipeline.id, name: pipeline.name.clone() },
        source: AppReference::of(source),
        release: release.id,
        targets: Vec::new(),
        created_at: tx.now(),
    };
    for target in targets {
        let made = release_on(tx, maker, (source, release), target.id)?;
        tx.record(Event::ReleasePromoted {
            app: target.id,
            release: made.id,
            promotion: Some(promotion.id),
            source: release.id,
        })?;
        promotion.targets.push(PromotionTarget {
            id: PromotionTargetId::new(maker.ids.next()),
            promotion: promotion.id,
            app: target.id,
            release: made.id,
            state: TargetState::of(made.state),
            updated_at: made.updated_at,
        });
    }
    store::pipeline_promotions::insert(tx, &promotion)?;
    Ok(promotion)
}

fn release_on(
    tx: &mut Tx<'_>,
    maker: &Maker,
    (source, release): (&App, &Release),
    target: AppId,
) -> Result<Release, Error> {
    let new = NewRelease {
        app: target,
        slug: release.slug,
        kind: ReleaseKind::Promotion { of: release.id },
        description: format!("Promotion from {}", source.key()),
    };
    releases::make(tx, &maker.ids, &maker.default_size, new)
}

fn not_in(pipeline: &Pipeline, app: &App) -> RuleError {
    RuleError::new(format!(
        "The app {} is not in the pipeline {}; add it with POST /pipeline-couplings.",
        app.key(),
        pipeline.name
    ))
}

/// The first names, in a sentence.
fn names<'a>(differing: impl Iterator<Item = &'a ConfigVarName>) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<&str> = differing.take(SHOWN + 1).map(ConfigVarName::as_str).collect();
    if names.len() > SHOWN {
        names.truncate(SHOWN);
        names.push("…");
    }
    names.join(", ")
}
