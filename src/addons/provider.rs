//! The providers: who makes addons, behind one trait.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::addon::{Addon, PlanReference};
use crate::model::addon_attachment::AddonAttachment;
use crate::model::addon_service::AddonPlan;
use crate::model::config_var::ConfigVars;
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::store::addons::ProviderData;

/// Makes addons and takes them away.
///
/// Each method is called again after a failure that may pass, a restart, or a dropped future, and then goes on where it
/// was; what is done already is no error. A call may take two minutes; what takes longer answers
/// [`Outcome::Working`] and is called again. For one addon there is one call at a time, an action apart.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// Makes the addon.
    async fn provision(&self, work: &Work) -> Result<Outcome<Provisioned>, ProviderError>;

    /// Gives the addon another plan, which is to be in [`Work::plan`] afterwards. A refusal leaves the present one.
    async fn change_plan(&self, work: &Work, plan: &PlanReference)
    -> Result<Outcome<Changed>, ProviderError>;

    /// Gets the variables for an app, under the names that they have for the primary addon.
    async fn bind(&self, work: &Work, to: &AddonAttachment) -> Result<Outcome<ConfigVars>, ProviderError>;

    /// Takes them back. The app does not know them any more.
    async fn unbind(&self, work: &Work, from: &AddonAttachment) -> Result<Outcome<Removed>, ProviderError>;

    /// Takes the addon away, or what there is of it. Nothing is bound to it any more.
    async fn deprovision(&self, work: &Work) -> Result<Outcome<Removed>, ProviderError>;

    /// How often [`Provider::keep_up`] is to be called for an addon of this plan; `None` for never.
    fn upkeep_period(&self, _plan: &AddonPlan) -> Option<Duration> {
        None
    }

    /// What the plan promises to do from time to time.
    async fn keep_up(&self, _work: &Work) -> Result<Rework, ProviderError> {
        Ok(Rework::default())
    }

    /// What a client asks of the addon itself; `None` when there is no such action.
    async fn act(&self, _work: &Work, _action: &Action) -> Result<Option<Acted>, ProviderError> {
        Ok(None)
    }
}

/// What a provider is given at each call.
#[derive(Debug, Clone)]
pub struct Work {
    pub addon: Addon,
    /// The addon's plan as it is offered now; `None` when it is not any more.
    pub plan: Option<AddonPlan>,
    /// What the provider wanted to know again.
    pub data: Option<ProviderData>,
    /// What the provider calls the work that it does at present; only when it accepted this work before.
    pub operation: Option<String>,
    /// The provider has accepted this work before: it is asked how far it is.
    pub is_accepted: bool,
    pub now: Timestamp,
}

/// How far a work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    Done(T),
    Working(Working),
}

/// The provider works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Working {
    /// What it calls this work.
    pub operation: Option<String>,
    /// What it must know again; `None` leaves what was.
    pub data: Option<ProviderData>,
    /// When it is to be asked again.
    pub poll_after: Duration,
}

/// The addon is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provisioned {
    /// What the provider must know again; `None` leaves what was.
    pub data: Option<ProviderData>,
    /// Where it shows the addon; may be empty.
    pub web_url: String,
}

/// The addon has the other plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// What the provider must know again; `None` leaves what was.
    pub data: Option<ProviderData>,
    /// The variables are others now: those of each app are asked for again.
    pub rebind: bool,
}

/// It is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed;

/// What an action or the upkeep of an addon leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rework {
    /// What the provider must know again; `None` leaves what was.
    pub data: Option<ProviderData>,
    /// The variables of every app that uses the addon from now on; `None` leaves them.
    pub variables: Option<ConfigVars>,
}

/// What a client asks of an addon itself (`…/actions/{action}`).
#[derive(Clone)]
pub struct Action {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: http::Method,
    /// `rotate`, or `rotate/sub`; of the characters that a path takes as they are.
    pub name: String,
    /// JSON; may be empty. `Debug` does not show it.
    pub body: Vec<u8>,
}

/// What a provider answers to an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// An HTTP status.
    pub status: u16,
    /// JSON; may be empty.
    pub body: Vec<u8>,
    pub rework: Rework,
}

/// Why a provider did not do it. The texts are shown to the people of the app, so they hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It will not be otherwise next time, and nothing is left at the provider.
    #[error("{0}")]
    Refused(String),
    /// It will not be otherwise next time, and something may be left at the provider: it is taken away.
    #[error("{0}")]
    Broken(String),
    /// It may be otherwise later.
    #[error("{0}")]
    Later(String),
    #[error("the state of the addon cannot be read or written")]
    Store(#[from] StoreError),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Action")
            .field("method", &self.method)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
