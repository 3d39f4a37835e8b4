//! Spaces: naming one, making and changing it.

use uuid::Uuid;

use super::{Error, stacks};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::check_description;
use crate::model::catalogue::Catalogue;
use crate::model::compliance::Compliance;
use crate::model::event::Event;
use crate::model::ids::SpaceId;
use crate::model::names::{RESERVED_SPACES, SpaceName};
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::space::Space;
use crate::model::stack::{Stack, StackState};
use crate::store::{self, Connection, Store};

/// Compliance tags as a client wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComplianceTags {
    Tags(Vec<String>),
    /// Something else than an array of texts.
    Malformed,
}

/// A space to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewSpace {
    pub name: String,
    pub description: String,
    pub compliance: ComplianceTags,
    /// Name or id; the catalogue's when absent.
    pub stack: Option<String>,
}

/// What shall change; `None` leaves it.
#[derive(Debug, Clone)]
pub struct SpaceChange {
    pub description: Option<String>,
    pub compliance: Option<ComplianceTags>,
}

/// The live space of that name or id.
pub fn resolve(connection: &Connection, text: &str) -> Result<Space, Error> {
    let found = match (Uuid::try_parse(text), SpaceName::parse(text)) {
        (Ok(id), _) => store::spaces::find(connection, SpaceId::new(id))?,
        (Err(_), Ok(name)) => store::spaces::find_by_name(connection, &name)?,
        (Err(_), Err(_)) => None,
    };
    found.ok_or_else(|| Error::NotFound(format!("The space {} does not exist.", shown(text))))
}

/// Makes a space. The order of the checks is that of `behaviour.md` §15: name, reserved name, stack, a
/// deprecated stack, an existing space, compliance, a beta stack.
pub async fn create(
    store: &Store,
    ids: &Ids,
    catalogue: &Catalogue,
    author: &Principal,
    new: NewSpace,
) -> Result<Space, Error> {
    let name = space_name(&new.name)?;
    let wanted = new.stack.unwrap_or_else(|| catalogue.stack.name.clone());
    let id = SpaceId::new(ids.next());
    store
        .write(author, move |tx| {
            let stack = stacks::resolve(tx, &wanted)?;
            if stack.state == StackState::Deprecated {
                return Err(Error::Conflict(format!(
                    "The stack {} is deprecated; put the space on another one.",
                    stack.name
                )));
            }
            let exists = || format!("The space {name} exists already.");
            if store::spaces::find_by_name(tx, &name)?.is_some() {
                return Err(Error::Conflict(exists()));
            }
            let compliance = parse_compliance(&new.compliance)?;
            check_description(&new.description)?;
            check_stack(&stack, &compliance)?;
            let space = Space {
                id,
                name: name.clone(),
                description: new.description,
                compliance,
                stack: stack.name,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            store::spaces::insert(tx, &space).map_err(|error| Error::exists(error, exists))?;
            tx.record(Event::SpaceCreated { space: id })?;
            Ok(space)
        })
        .await
}

/// Changes description or compliance. Only an elevated principal takes away what protects the apps of the
/// space: the tags `socs` and `prod`.
pub async fn update(
    store: &Store,
    author: &Principal,
    id: SpaceId,
    change: SpaceChange,
) -> Result<Space, Error> {
    let compliance = change.compliance.as_ref().map(parse_compliance).transpose()?;
    change.description.as_deref().map(check_description).transpose()?;
    let elevated = author.is_elevated();
    store
        .write(author, move |tx| {
            let gone = || Error::NotFound("The space was deleted meanwhile.".to_owned());
            let old = store::spaces::find(tx, id)?.ok_or_else(gone)?;
            let mut space = old.clone();
            space.compliance = compliance.unwrap_or(space.compliance);
            space.description = change.description.unwrap_or(space.description);
            let loses = |has: fn(&Compliance) -> bool| has(&old.compliance) && !has(&space.compliance);
            if !elevated && (loses(Compliance::is_socs) || loses(Compliance::is_prod)) {
                return Err(Error::Forbidden(format!(
                    "Only an administrator may take the compliance socs or prod from the space {}.",
                    space.name
                )));
            }
            if !old.compliance.is_prod()
                && let Some(stack) = store::stacks::find_by_name(tx, &space.stack)?
            {
                check_stack(&stack, &space.compliance)?;
            }
            if space != old {
                space.updated_at = tx.now();
                store::spaces::update(tx, &space)?;
                tx.record(Event::SpaceUpdated { space: id })?;
            }
            Ok(space)
        })
        .await
}

/// Reserved names are told apart from unusable ones, whatever their length.
fn space_name(text: &str) -> Result<SpaceName, Error> {
    let wanted = text.trim().to_ascii_lowercase();
    if RESERVED_SPACES.contains(&wanted.as_str()) {
        return Err(Error::Conflict(format!(
            "The space name {wanted} is reserved for the platform; choose another one."
        )));
    }
    Ok(SpaceName::parse(text)?)
}

/// Spaces with the compliance `prod` keep off what is not finished.
fn check_stack(stack: &Stack, compliance: &Compliance) -> Result<(), Error> {
    if stack.state == StackState::Beta && compliance.is_prod() {
        return Err(Error::Conflict(format!(
            "The stack {} is in beta; a space with the compliance prod cannot be on it.",
            stack.name
        )));
    }
    Ok(())
}

fn parse_compliance(tags: &ComplianceTags) -> Result<Compliance, Error> {
    let ComplianceTags::Tags(tags) = tags else {
        return Err(
            RuleError::new("The compliance must be an array of texts, for example [\"socs\"].").into()
        );
    };
    let compliance = Compliance::parse(tags)?;
    if compliance.tags().iter().any(|tag| tag == "internal") {
        return Err(Error::Conflict(
            "A space cannot be internal here: the region of this machine has no private network of its own."
                .to_owned(),
        ));
    }
    Ok(compliance)
}
