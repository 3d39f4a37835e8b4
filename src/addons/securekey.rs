//! Secure keys: two random keys, of which the older is replaced from time to time (`behaviour.md` §18).
//!
//! Invariant: what was encrypted or signed with the newest key can be read for one period more.

use std::time::Duration;

use async_trait::async_trait;

use super::{Acted, Action, Changed, Outcome, Provider, ProviderError, Provisioned, Removed, Rework, Work};
use crate::ids::random_secret;
use crate::model::addon::PlanReference;
use crate::model::addon_attachment::AddonAttachment;
use crate::model::addon_service::AddonPlan;
use crate::model::config_var::{ConfigValue, ConfigVars};
use crate::model::names::ConfigVarName;
use crate::store::addons::ProviderData;

/// Makes keys out of random numbers.
#[derive(Debug, Clone, Copy)]
pub struct Securekey;

/// The days between two rotations, among the attributes of a plan.
const ROTATION_DAYS: &str = "rotation_days";

#[async_trait]
impl Provider for Securekey {
    async fn provision(&self, work: &Work) -> Result<Outcome<Provisioned>, ProviderError> {
        // An attempt that was cut off may have been written down.
        let keys = work.data.clone().unwrap_or_else(|| ProviderData::new(format!("{},{}", key(), key())));
        Ok(Outcome::Done(Provisioned { data: Some(keys), web_url: String::new() }))
    }

    async fn change_plan(
        &self,
        _work: &Work,
        _plan: &PlanReference,
    ) -> Result<Outcome<Changed>, ProviderError> {
        Ok(Outcome::Done(Changed::default()))
    }

    async fn bind(&self, work: &Work, _to: &AddonAttachment) -> Result<Outcome<ConfigVars>, ProviderError> {
        Ok(Outcome::Done(variables(present(work)?)))
    }

    async fn unbind(&self, _work: &Work, _from: &AddonAttachment) -> Result<Outcome<Removed>, ProviderError> {
        Ok(Outcome::Done(Removed))
    }

    async fn deprovision(&self, _work: &Work) -> Result<Outcome<Removed>, ProviderError> {
        Ok(Outcome::Done(Removed))
    }

    fn upkeep_period(&self, plan: &AddonPlan) -> Option<Duration> {
        let days: u64 = plan.attributes.get(ROTATION_DAYS)?.parse().ok()?;
        (days > 0).then(|| Duration::from_hours(24 * days.min(3650)))
    }

    async fn keep_up(&self, work: &Work) -> Result<Rework, ProviderError> {
        rotated(work)
    }

    async fn act(&self, work: &Work, action: &Action) -> Result<Option<Acted>, ProviderError> {
        if action.name != "rotate" || action.method != http::Method::POST {
            return Ok(None);
        }
        let body = serde_json::json!({ "status": "ok" }).to_string().into_bytes();
        Ok(Some(Acted { status: 200, body, rework: rotated(work)? }))
    }
}

/// A new key first, the former first one second.
fn rotated(work: &Work) -> Result<Rework, ProviderError> {
    let keys = present(work)?;
    let former = keys.split_once(',').map_or(keys, |(first, _)| first);
    let keys = format!("{},{former}", key());
    Ok(Rework { variables: Some(variables(&keys)), data: Some(ProviderData::new(keys)) })
}

fn present(work: &Work) -> Result<&str, ProviderError> {
    let missing = || ProviderError::Later("The keys are not there yet.".to_owned());
    work.data.as_ref().map(ProviderData::reveal).ok_or_else(missing)
}

fn variables(keys: &str) -> ConfigVars {
    let name = ConfigVarName::from_stored("SECURE_KEY".to_owned());
    ConfigVars::from([(name, ConfigValue::from_stored(keys.to_owned()))])
}

/// 64 upper-case hexadecimal digits.
fn key() -> String {
    random_secret().to_ascii_uppercase()
}
