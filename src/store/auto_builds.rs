//! Auto builds. The token and the webhook's secret are sealed; only who holds the [`Sealer`] can read them.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::auto_build::{AutoBuild, SourceDelivery, SourceSecret};
use crate::model::ids::{AppId, AutoBuildId};
use crate::model::repository_url::{BranchName, RepositoryUrl};
use crate::model::time::Timestamp;
use crate::seal::{SealPlace, Sealed, Sealer};

/// A repository and its branch.
pub type Followed = (RepositoryUrl, BranchName);

/// One whose webhook is still to be removed at its provider.
#[derive(Debug, Clone)]
pub struct Removal {
    pub auto_build: AutoBuild,
    /// Attempts that failed.
    pub attempts: u32,
}

/// The auto build of an app.
pub fn find_by_app(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
) -> Result<Option<AutoBuild>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM auto_builds WHERE app_id = ?1 AND removed_at IS NULL")?;
    let row = statement.query_row([app], StoredAutoBuild::from_row).optional()?;
    row.map(|row| row.open(sealer)).transpose()
}

/// The repository and branch of an app's auto build, which need no opening.
pub fn followed_by(connection: &Connection, app: AppId) -> Result<Option<Followed>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT repo, branch FROM auto_builds WHERE app_id = ?1 AND removed_at IS NULL")?;
    let read =
        |row: &Row<'_>| Ok((RepositoryUrl::from_stored(row.get(0)?), BranchName::from_stored(row.get(1)?)));
    Ok(statement.query_row([app], read).optional()?)
}

/// The same of all apps that have one.
pub fn list_followed(connection: &Connection) -> Result<Vec<(AppId, Followed)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT app_id, repo, branch FROM auto_builds WHERE removed_at IS NULL")?;
    let rows = statement.query_map([], |row| {
        let followed = (RepositoryUrl::from_stored(row.get(1)?), BranchName::from_stored(row.get(2)?));
        Ok((row.get(0)?, followed))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The auto build of that id, unless it was removed.
pub fn find(
    connection: &Connection,
    sealer: &Sealer,
    id: AutoBuildId,
) -> Result<Option<AutoBuild>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM auto_builds WHERE id = ?1 AND removed_at IS NULL")?;
    let row = statement.query_row([id], StoredAutoBuild::from_row).optional()?;
    row.map(|row| row.open(sealer)).transpose()
}

/// The auto builds that hear of pushes with that app's, oldest first.
pub fn list_hearing_with(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
) -> Result<Vec<AutoBuild>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM auto_builds WHERE hears_with = ?1 AND removed_at IS NULL ORDER BY created_at, id",
    )?;
    let rows = statement.query_map([app], StoredAutoBuild::from_row)?;
    rows.map(|row| row?.open(sealer)).collect()
}

/// Adds an auto build; [`StoreError::Exists`] when the app has one.
pub fn insert(tx: &Tx<'_>, sealer: &Sealer, one: &AutoBuild) -> Result<(), StoreError> {
    let columns = Columns::of(sealer, one)?;
    tx.prepare_cached(
        "INSERT INTO auto_builds (id, app_id, provider, repo, branch, username, token, hook, secret, hears_with,
            status_check, auto_deploy, origin, created_by, created_at, updated_at)
         VALUES (:id, :app_id, :provider, :repo, :branch, :username, :token, :hook, :secret, :hears_with,
            :status_check, :auto_deploy, :origin, :created_by, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": one.id,
        ":app_id": one.app_id,
        ":provider": one.provider,
        ":repo": one.repo.as_str(),
        ":branch": one.branch.as_str(),
        ":username": one.username,
        ":token": columns.token,
        ":hook": columns.hook,
        ":secret": columns.secret,
        ":hears_with": columns.hears_with,
        ":status_check": one.status_check,
        ":auto_deploy": one.auto_deploy,
        ":origin": one.origin,
        ":created_by": one.created_by,
        ":created_at": one.created_at,
        ":updated_at": one.updated_at,
    })?;
    Ok(())
}

/// From now on sources are fetched as that one says.
pub fn set_login(tx: &Tx<'_>, sealer: &Sealer, one: &AutoBuild) -> Result<(), StoreError> {
    let token = sealer.seal(place(&one.id.to_string(), "token"), one.token.reveal())?;
    tx.prepare_cached("UPDATE auto_builds SET username = ?2, token = ?3, updated_at = ?4 WHERE id = ?1")?
        .execute((one.id, &one.username, token, tx.now()))?;
    Ok(())
}

/// Forgets an auto build and its runs.
pub fn delete(tx: &Tx<'_>, id: AutoBuildId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM auto_builds WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// From now on the app has none; the webhook of it is to be removed. Gives its id when there was one.
pub fn mark_removed_of_app(tx: &Tx<'_>, app: AppId) -> Result<Option<AutoBuildId>, StoreError> {
    let mut statement = tx.prepare_cached(
        "UPDATE auto_builds SET removed_at = ?2, removal_due_at = ?2, updated_at = ?2
         WHERE app_id = ?1 AND removed_at IS NULL RETURNING id",
    )?;
    let id: Option<AutoBuildId> = statement.query_row((app, tx.now()), |row| row.get(0)).optional()?;
    if let Some(id) = id {
        tx.prepare_cached(
            "UPDATE auto_build_runs SET state = 'superseded', due_at = NULL, updated_at = ?2
             WHERE auto_build_id = ?1 AND state = 'waiting'",
        )?
        .execute((id, tx.now()))?;
        tx.prepare_cached("DELETE FROM auto_builds WHERE id = ?1 AND hook IS NULL")?.execute([id])?;
    }
    Ok(id)
}

/// The removals that are due, the longest due first.
pub fn list_removals(
    connection: &Connection,
    sealer: &Sealer,
    (now, limit): (Timestamp, u32),
) -> Result<Vec<Removal>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM auto_builds WHERE removed_at IS NOT NULL AND removal_due_at <= ?1
         ORDER BY removal_due_at LIMIT ?2",
    )?;
    let rows = statement
        .query_map((now, limit), |row| Ok((StoredAutoBuild::from_row(row)?, row.get("removal_attempts")?)))?;
    rows.map(|row| {
        let (stored, attempts) = row?;
        Ok(Removal { auto_build: stored.open(sealer)?, attempts })
    })
    .collect()
}

/// Whether any removal is due.
pub fn is_removal_due(connection: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM auto_builds WHERE removed_at IS NOT NULL AND removal_due_at <= ?1)",
    )?;
    Ok(statement.query_row([now], |row| row.get(0))?)
}

/// A removal failed after so many `attempts` before, and is tried again at that time. Nothing when another attempt that
/// was made meanwhile has said so already.
pub fn put_off_removal(
    tx: &Tx<'_>,
    (id, attempts): (AutoBuildId, u32),
    due: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE auto_builds SET removal_attempts = removal_attempts + 1, removal_due_at = ?3
         WHERE id = ?1 AND removal_attempts = ?2",
    )?
    .execute((id, attempts, due))?;
    Ok(())
}

/// What is not as it is in the model.
struct Columns<'a> {
    token: Sealed,
    hook: Option<&'a str>,
    secret: Option<Sealed>,
    hears_with: Option<AppId>,
}

impl<'a> Columns<'a> {
    fn of(sealer: &Sealer, one: &'a AutoBuild) -> Result<Self, StoreError> {
        let row = one.id.to_string();
        let token = sealer.seal(place(&row, "token"), one.token.reveal())?;
        Ok(match &one.delivery {
            SourceDelivery::Hook { id, secret } => {
                let secret = sealer.seal(place(&row, "secret"), secret.reveal())?;
                Self { token, hook: Some(id), secret: Some(secret), hears_with: None }
            }
            SourceDelivery::With(app) => Self { token, hook: None, secret: None, hears_with: Some(*app) },
        })
    }
}

fn place<'a>(row: &'a str, column: &'a str) -> SealPlace<'a> {
    SealPlace { table: "auto_builds", row, column }
}

/// A row whose sealed values are still closed: with stand-ins that are replaced on opening.
struct StoredAutoBuild {
    token: Sealed,
    secret: Option<Sealed>,
    open: AutoBuild,
}

impl StoredAutoBuild {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let hook: Option<String> = row.get("hook")?;
        let closed = || SourceSecret::from_stored(String::new());
        let delivery = match hook {
            Some(id) => SourceDelivery::Hook { id, secret: closed() },
            None => SourceDelivery::With(row.get("hears_with")?),
        };
        let open = AutoBuild {
            id: row.get("id")?,
            app_id: row.get("app_id")?,
            provider: row.get("provider")?,
            repo: RepositoryUrl::from_stored(row.get("repo")?),
            branch: BranchName::from_stored(row.get("branch")?),
            username: row.get("username")?,
            token: closed(),
            delivery,
            status_check: row.get("status_check")?,
            auto_deploy: row.get("auto_deploy")?,
            origin: row.get("origin")?,
            created_by: row.get("created_by")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        };
        Ok(Self { token: row.get("token")?, secret: row.get("secret")?, open })
    }

    fn open(self, sealer: &Sealer) -> Result<AutoBuild, StoreError> {
        let row = self.open.id.to_string();
        let token = SourceSecret::from_stored(sealer.open_text(place(&row, "token"), &self.token)?);
        let delivery = match (self.open.delivery, self.secret) {
            (SourceDelivery::Hook { id, .. }, Some(sealed)) => {
                let secret = sealer.open_text(place(&row, "secret"), &sealed)?;
                SourceDelivery::Hook { id, secret: SourceSecret::from_stored(secret) }
            }
            (delivery, _) => delivery,
        };
        Ok(AutoBuild { token, delivery, ..self.open })
    }
}
