//! The `app.json` of a source, and what it adds to a blueprint.

use super::{SetupTools, check, steps};
use crate::model::RuleError;
use crate::model::app_json::{APP_JSON, AppJson, Extras, Platform};
use crate::model::app_setup::{FailureKind, Progress, SetupOrder, StepFailure};
use crate::model::blueprint::Blueprint;
use crate::model::catalogue::Catalogue;
use crate::model::ids::AppSetupId;
use crate::seal::Sealer;
use crate::service::Error;
use crate::store::{self, Store, Tx};

/// What a look into an archive brought.
#[derive(Debug)]
pub enum ManifestFinding {
    /// Its `app.json`.
    Content(Vec<u8>),
    /// There is none, or the archive cannot be had; then the build tells why.
    Nothing,
}

/// Adds to a blueprint what an `app.json` says; every reason against it otherwise.
fn fill(blueprint: &mut Blueprint, content: &[u8], catalogue: &Catalogue) -> Result<Extras, Vec<RuleError>> {
    let manifest = AppJson::parse(content).map_err(|error| vec![error])?;
    let platform = Platform { is_size: &|name| catalogue.size(name).is_some(), secret: &secret };
    manifest.fill(blueprint, &platform)
}

/// Lets a setup that waited for it go on with what was found.
pub async fn note_manifest(
    store: &Store,
    tools: &SetupTools,
    id: AppSetupId,
    finding: ManifestFinding,
) -> Result<(), Error> {
    let sealer = tools.sealer.clone();
    let found = store.read(move |c| store::app_setups::find_order(c, &sealer, id)).await?;
    let Some(mut order) = found.filter(|order| order.unread) else { return Ok(()) };
    let catalogue = tools.catalogue.load_full();
    let filled = match finding {
        ManifestFinding::Nothing => Ok(Extras::default()),
        ManifestFinding::Content(content) => {
            fill(&mut order.blueprint, &content, &catalogue).and_then(|extras| {
                let mut reasons = check::normalise(&mut order.blueprint);
                reasons.extend(check::reasons(&order.blueprint, &catalogue));
                if reasons.is_empty() { Ok(extras) } else { Err(reasons) }
            })
        }
    };
    let (author, sealer) = (order.author.clone(), tools.sealer.clone());
    match filled {
        Ok(extras) => store.write(&author, move |tx| go_on(tx, &sealer, id, (order, extras))).await,
        Err(reasons) => store.write(&author, move |tx| give_up(tx, id, &reasons)).await,
    }
}

fn go_on(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    id: AppSetupId,
    (mut order, extras): (SetupOrder, Extras),
) -> Result<(), Error> {
    let Some(mut setup) = store::app_setups::find(tx, id)? else { return Ok(()) };
    order.unread = false;
    order.postdeploy = extras.postdeploy;
    setup.success_url = extras.success_url;
    setup.progress = Progress::of(order.total());
    setup.step = order.steps().first().map(ToString::to_string).unwrap_or_default();
    setup.updated_at = tx.now();
    store::app_setups::set_order(tx, sealer, id, &order)?;
    Ok(store::app_setups::update(tx, &setup)?)
}

/// Nothing of it is done: an app without what it requires would only fail later.
fn give_up(tx: &mut Tx<'_>, id: AppSetupId, reasons: &[RuleError]) -> Result<(), Error> {
    let Some(mut setup) = store::app_setups::find(tx, id)? else { return Ok(()) };
    setup.manifest_errors = reasons.iter().map(RuleError::to_string).collect();
    let reason = check::all(reasons).to_string();
    setup.failures.push(StepFailure { step: APP_JSON.to_owned(), kind: FailureKind::Invalid, reason });
    setup.progress.done = setup.progress.total;
    steps::settle(tx, setup)
}

/// 256 random bits, as Heroku makes them.
fn secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}
