//! The first start: the installation's id, the catalogue's spaces and organizations, and the first token.
//!
//! Invariant: safe to run at every start; what exists is left as it is.

use super::{Error, tokens};
use crate::ids::{self, Ids};
use crate::model::catalogue::Catalogue;
use crate::model::compliance::Compliance;
use crate::model::event::Event;
use crate::model::ids::{InstallationId, OrganizationId, SpaceId, StackId, deterministic};
use crate::model::names::UserName;
use crate::model::organization::Organization;
use crate::model::principal::Principal;
use crate::model::space::Space;
use crate::model::stack::{Stack, StackState};
use crate::model::token::{Scope, TokenHash, TokenKind, TokenName};
use crate::store::{self, Store, Tx};

/// The name of the token that the operator gives or the first start makes, and of its user.
const ADMIN: &str = "admin";

/// What a start found or made.
#[derive(Clone)]
pub struct Bootstrap {
    pub installation: InstallationId,
    /// The secret of a token that was made up now, for the operator to keep; `None` when one was given or exists.
    pub made_token: Option<String>,
}

impl std::fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bootstrap").field("installation", &self.installation).finish_non_exhaustive()
    }
}

/// Makes what a fresh database lacks. A given `admin_secret` becomes the secret of the token `admin`,
/// replacing another one; without it, a token is made up on the first start only.
pub async fn run(
    store: &Store,
    ids: &Ids,
    catalogue: &Catalogue,
    admin_secret: Option<&str>,
) -> Result<Bootstrap, Error> {
    let (ids, catalogue) = (ids.clone(), catalogue.clone());
    let given = admin_secret.map(str::to_owned);
    store
        .write(&Principal::daemon(), move |tx| {
            let known = store::installation::find(tx)?;
            let installation = match known {
                Some(id) => id,
                None => furnish(tx, &ids, &catalogue)?,
            };
            make_default_stack(tx, &catalogue)?;
            let made_token = match (given, known) {
                (Some(secret), _) => {
                    set_admin_secret(tx, &ids, &secret)?;
                    None
                }
                (None, Some(_)) => None,
                (None, None) => {
                    let secret = ids::random_secret();
                    set_admin_secret(tx, &ids, &secret)?;
                    Some(secret)
                }
            };
            Ok(Bootstrap { installation, made_token })
        })
        .await
}

fn furnish(tx: &mut Tx<'_>, ids: &Ids, catalogue: &Catalogue) -> Result<InstallationId, Error> {
    let installation = InstallationId::new(ids.next());
    store::installation::insert(tx, installation)?;
    for first in &catalogue.first_spaces {
        let space = Space {
            id: SpaceId::new(first.id),
            name: first.name.clone(),
            description: String::new(),
            compliance: Compliance::default(),
            stack: catalogue.stack.name.clone(),
            created_at: tx.now(),
            updated_at: tx.now(),
        };
        store::spaces::insert(tx, &space)?;
        tx.record(Event::SpaceCreated { space: space.id })?;
    }
    for name in &catalogue.first_organizations {
        let organization = Organization {
            id: OrganizationId::new(deterministic(name.as_str())),
            name: name.clone(),
            description: String::new(),
            created_at: tx.now(),
            updated_at: tx.now(),
        };
        store::organizations::insert(tx, &organization)?;
        tx.record(Event::OrganizationCreated { organization: organization.id })?;
    }
    Ok(installation)
}

/// The operator may have named another one since the last start.
fn make_default_stack(tx: &mut Tx<'_>, catalogue: &Catalogue) -> Result<(), Error> {
    let name = &catalogue.stack.name;
    if store::stacks::find_by_name(tx, name)?.is_some() {
        return Ok(());
    }
    let stack = Stack {
        id: StackId::new(catalogue.stack.id),
        name: name.clone(),
        state: StackState::Public,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::stacks::insert(tx, &stack)?;
    tx.record(Event::StackCreated { stack: stack.id })?;
    Ok(())
}

fn set_admin_secret(tx: &mut Tx<'_>, ids: &Ids, secret: &str) -> Result<(), Error> {
    if secret.is_empty() || !secret.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::BadRequest(
            "The admin token must be visible ASCII characters without spaces, because it travels in a header."
                .to_owned(),
        ));
    }
    let name = TokenName::parse(ADMIN)?;
    let hash = TokenHash::of(secret);
    match store::tokens::find_by_hash(tx, &hash)? {
        Some(token) if token.name == name => return Ok(()),
        Some(token) => {
            return Err(Error::Conflict(format!(
                "The admin token is the secret of the token {} already; choose another one.",
                token.name.as_str()
            )));
        }
        None => store::tokens::forget_revoked(tx, &hash)?,
    }
    if let Some(old) = store::tokens::find_by_name(tx, &name)? {
        tokens::revoke_in(tx, old.id)?;
    }
    let new = tokens::NewToken {
        name,
        kind: TokenKind::Admin,
        user: UserName::parse(ADMIN)?,
        scope: Scope::Global,
    };
    tokens::insert(tx, ids, new, &hash)?;
    Ok(())
}
