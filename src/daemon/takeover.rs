//! The successor's side of an upgrade: what it looks at before it says that it can take over.
//!
//! Invariant: nothing is changed here; the predecessor works on all of it.

use crate::catalogue::CatalogueHandle;
use crate::certs::LocalAuthority;
use crate::clock::Clock;
use crate::config::{Config, PassedSockets};
use crate::failpoint;
use crate::model::ids::InstallationId;
use crate::model::journal::JournalStep;
use crate::seal::Sealer;
use crate::store::{self, Schema, StoreError};
use crate::upgrade::{FromSuccessor, Predecessor};

use super::DaemonError;
use super::control_plane::connect;

/// Waits until the predecessor has put down its control plane; gives its listening sockets.
pub(super) async fn take_over(
    config: &Config,
    predecessor: &Predecessor,
) -> Result<PassedSockets, DaemonError> {
    let migrates = prepare(config).await?;
    predecessor.tell(&FromSuccessor::Prepared { migrates })?;
    failpoint::reached(JournalStep::SuccessorPrepared);
    let listeners = predecessor.released().await?;
    failpoint::reached(JournalStep::SuccessorReleased);
    PassedSockets::of_predecessor(listeners).map_err(DaemonError::Inherited)
}

/// Fails for whatever the start would fail for; says whether it will migrate the database.
async fn prepare(config: &Config) -> Result<bool, DaemonError> {
    LocalAuthority::open(&config.ca_dir(), Clock::system())?;
    Sealer::open(&config.seal_key_path())?;
    CatalogueHandle::open(&config.data_dir)?;
    let (Schema { found, known }, installation) = look_into_database(config)?;
    if found > known {
        return Err(StoreError::Newer { found, known }.into());
    }
    let installation = installation.unwrap_or(InstallationId::new(uuid::Uuid::nil()));
    connect(config, installation).await?;
    Ok(found < known)
}

fn look_into_database(config: &Config) -> Result<(Schema, Option<InstallationId>), StoreError> {
    let connection = store::inspect(&config.database_path())?;
    let schema = store::schema(&connection)?;
    Ok((schema, store::installation::find(&connection)?))
}
