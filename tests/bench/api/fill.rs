//! What the daemon is measured with: 1,000 apps, each with 20 releases, a formation and some config vars.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::ids::Ids;
use akkerisd::model::app::{App, AppOrganization, AppSpace};
use akkerisd::model::build::{Build, BuildSource, BuildState, Checksum, Commit, ImageId};
use akkerisd::model::catalogue::Catalogue;
use akkerisd::model::config_var::ConfigValue;
use akkerisd::model::formation::{Formation, FormationCommand, Origin, Port, Quantity, Runs};
use akkerisd::model::ids::{AppId, BuildId, FormationId, ReleaseId};
use akkerisd::model::names::{AppName, ConfigVarName, OrganizationName, ProcessType, SizeName, SpaceName};
use akkerisd::model::principal::Principal;
use akkerisd::model::release::{Release, ReleaseKind, ReleaseState};
use akkerisd::seal::Sealer;
use akkerisd::store::{self, Store, Tx};
use anyhow::{Context, Result, ensure};

const APPS: usize = 1_000;
const RELEASES: u32 = 20;
/// Releases to a build: the others are roll-backs and releases of a slug again.
const RELEASES_OF_A_BUILD: u32 = 4;
const CONFIG_VARS: usize = 4;

/// The key of the n-th app.
pub(crate) fn app_key(number: usize) -> String {
    format!("app{number}-default")
}

/// Makes the data dir and fills its database.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn fill(data_dir: &Path) -> Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(data_dir)?;
    let store = Store::open(&data_dir.join("akkerisd.db"), Clock::system())?;
    let sealer = Sealer::open(&data_dir.join("seal.key"))?;
    let ids = Ids::random();
    let catalogue = Catalogue::parse(include_str!("../../../assets/catalogue.toml"))?;
    akkerisd::service::bootstrap::run(&store, &ids, &catalogue, Some(crate::daemon::TOKEN)).await?;
    store
        .write(&Principal::daemon(), move |tx| {
            let place = Place::find(tx)?;
            for number in 0..APPS {
                let app = place.app(tx, &ids, number)?;
                app_with_releases(tx, &sealer, &ids, &app)?;
            }
            anyhow::Ok(())
        })
        .await?;
    ensure!(store.close(Duration::from_mins(1)).await, "the database was not closed in time");
    Ok(())
}

/// Where the apps are.
struct Place {
    space: AppSpace,
    organization: AppOrganization,
}

impl Place {
    fn find(tx: &Tx<'_>) -> Result<Self> {
        let space = store::spaces::find_by_name(tx, &SpaceName::parse("default")?)?;
        let space = space.context("there is no space default")?;
        let organization = store::organizations::find_by_name(tx, &OrganizationName::parse("akkeris")?)?;
        let organization = organization.context("there is no organization akkeris")?;
        Ok(Self {
            space: AppSpace {
                id: space.id,
                name: space.name,
                compliance: space.compliance,
                stack: space.stack,
            },
            organization: AppOrganization { id: organization.id, name: organization.name },
        })
    }

    fn app(&self, tx: &Tx<'_>, ids: &Ids, number: usize) -> Result<App> {
        let app = App {
            id: AppId::new(ids.next()),
            name: AppName::parse(&format!("app{number}"))?,
            space: self.space.clone(),
            organization: self.organization.clone(),
            preview: None,
            description: format!("The service number {number} of this installation"),
            labels: "bench,api".to_owned(),
            maintenance: false,
            created_at: tx.now(),
            updated_at: tx.now(),
            released_at: None,
        };
        store::apps::insert(tx, &app)?;
        Ok(app)
    }
}

fn app_with_releases(tx: &Tx<'_>, sealer: &Sealer, ids: &Ids, app: &App) -> Result<()> {
    store::formations::insert(tx, &formation(tx, ids, app))?;
    for number in 0..CONFIG_VARS {
        let name = ConfigVarName::parse(&format!("SETTING_{number}"))?;
        let value = ConfigValue::parse(&name, &format!("value {number} of {}", app.name))?;
        store::config_vars::set(tx, sealer, app.id, &name, &value)?;
    }
    let mut slug = None;
    for version in 1..=RELEASES {
        let slug = match slug {
            Some(slug) if (version - 1) % RELEASES_OF_A_BUILD != 0 => slug,
            Some(_) | None => *slug.insert(build(tx, sealer, ids, app)?),
        };
        store::releases::insert(tx, &release(tx, ids, app, slug, version))?;
    }
    store::apps::set_released(tx, app.id, tx.now())?;
    Ok(())
}

/// Of no dynos, so that the engine has nothing to do.
fn formation(tx: &Tx<'_>, ids: &Ids, app: &App) -> Formation {
    Formation {
        id: FormationId::new(ids.next()),
        app_id: app.id,
        process_type: ProcessType::web(),
        size: SizeName::from_stored("gp1".to_owned()),
        quantity: Quantity::ZERO,
        command: FormationCommand::Image,
        port: Some(Port::DEFAULT),
        healthcheck: None,
        origin: Origin::User,
        runs: Runs::Always,
        restarts: 0,
        created_at: tx.now(),
        updated_at: tx.now(),
    }
}

fn build(tx: &Tx<'_>, sealer: &Sealer, ids: &Ids, app: &App) -> Result<BuildId> {
    let id = BuildId::new(ids.next());
    let hex = id.uuid().simple().to_string();
    let build = Build {
        id,
        app_id: app.id,
        number: store::builds::next_number(tx, app.id)?,
        state: BuildState::Succeeded {
            image: ImageId::new(format!("sha256:{hex}{hex}")),
            finished_at: tx.now(),
        },
        source: BuildSource::Upload,
        checksum: Checksum::default(),
        commit: Commit { branch: "main".to_owned(), ..Commit::default() },
        created_by: tx.author().clone(),
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::builds::insert(tx, sealer, &build)?;
    Ok(id)
}

fn release(tx: &Tx<'_>, ids: &Ids, app: &App, slug: BuildId, version: u32) -> Release {
    Release {
        id: ReleaseId::new(ids.next()),
        app_id: app.id,
        slug,
        version,
        description: format!("Release {version}"),
        kind: ReleaseKind::Slug,
        state: ReleaseState::Succeeded { at: tx.now() },
        created_by: tx.author().clone(),
        created_at: tx.now(),
        updated_at: tx.now(),
    }
}
