//! Open Service Brokers (version 2): others make the addons, this daemon asks them over HTTP.
//!
//! Invariant: an addon's id is its service instance's id, and an attachment's that of its binding, so that a request
//! that is sent again is the same request.

mod answer;
mod catalogue;
mod client;
mod credentials;
mod refresh;
mod request;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use self::answer::{Judged, Kind, LastOperation, Reply};
pub use self::client::{BrokerAddress, BrokerClient};
pub use self::refresh::{Refresh, Refreshed};
use self::request::{InstanceUpdate, NewBinding, NewInstance};
use super::{
    Acted, Action, Changed, Outcome, Provider, ProviderError, Provisioned, Removed, Rework, Work, Working,
};
use crate::model::addon::PlanReference;
use crate::model::addon_attachment::AddonAttachment;
use crate::model::config_var::ConfigVars;
use crate::store::addons::ProviderData;

/// A broker as a provider.
#[derive(Debug, Clone)]
pub struct Broker {
    client: BrokerClient,
    /// Between two questions how far it is, where the broker does not say.
    poll: Duration,
}

/// What is kept of an addon between two questions.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    #[serde(default)]
    dashboard_url: String,
}

/// Longest address of a dashboard that is shown.
const URL_LIMIT: usize = 1024;

impl Broker {
    /// Asks `client`, and asks again every `poll` while the broker works.
    pub fn new(client: BrokerClient, poll: Duration) -> Self {
        Self { client, poll }
    }

    fn working(&self, reply: &Reply) -> Working {
        let poll_after = reply.retry_after.unwrap_or(self.poll).max(self.poll);
        Working { operation: reply.text("operation"), data: None, poll_after }
    }

    /// Asks how far an accepted work is. `None` when the broker does not know of it any more.
    async fn last_operation(
        &self,
        path: &str,
        work: &Work,
    ) -> Result<Option<(LastOperation, Reply)>, ProviderError> {
        let query = request::query(work, work.operation.as_deref());
        let reply =
            self.client.get(&format!("{path}/last_operation?{query}")).await.map_err(answer::unheard)?;
        match reply.status {
            200 => Ok(Some((LastOperation::of(&reply)?, reply))),
            410 => Ok(None),
            _ => Err(ProviderError::Later(reply.complaint())),
        }
    }

    /// What `Working` or an end the broker's word for an accepted work means.
    async fn poll(&self, path: &str, work: &Work) -> Result<Option<Working>, ProviderError> {
        let gone = || ProviderError::Refused("The broker does not know of it any more.".to_owned());
        let (state, reply) = self.last_operation(path, work).await?.ok_or_else(gone)?;
        match state {
            LastOperation::InProgress => {
                let operation = work.operation.clone();
                Ok(Some(Working { operation, ..self.working(&reply) }))
            }
            LastOperation::Succeeded => Ok(None),
            LastOperation::Failed(reason) => Err(ProviderError::Broken(reason)),
        }
    }

    /// The same for what is taken away: what is not known is gone.
    async fn poll_removal(&self, path: &str, work: &Work) -> Result<Outcome<Removed>, ProviderError> {
        match self.poll(path, work).await {
            Ok(None) | Err(ProviderError::Refused(_)) => Ok(Outcome::Done(Removed)),
            Ok(Some(working)) => Ok(Outcome::Working(working)),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, path: &str, work: &Work) -> Result<Outcome<Removed>, ProviderError> {
        if work.is_accepted {
            return self.poll_removal(path, work).await;
        }
        let query = request::query(work, None);
        let reply = self.client.delete(&format!("{path}?accepts_incomplete=true&{query}")).await;
        let reply = reply.map_err(answer::unheard)?;
        match answer::judge(Kind::Removal, &reply)? {
            Judged::Done => Ok(Outcome::Done(Removed)),
            Judged::Accepted => Ok(Outcome::Working(self.working(&reply))),
        }
    }
}

#[async_trait]
impl Provider for Broker {
    async fn provision(&self, work: &Work) -> Result<Outcome<Provisioned>, ProviderError> {
        let path = instance(work);
        if work.is_accepted {
            let working = self.poll(&path, work).await?;
            let web_url = kept(work).dashboard_url;
            let done = || Outcome::Done(Provisioned { data: None, web_url });
            return Ok(working.map_or_else(done, Outcome::Working));
        }
        let body = NewInstance::of(work);
        let reply = self.client.put(&format!("{path}?accepts_incomplete=true"), &body).await;
        let reply = reply.map_err(answer::unheard_making)?;
        let judged = answer::judge(Kind::Making, &reply)?;
        let dashboard_url = dashboard(&reply);
        let data = Some(remember(&Kept { dashboard_url: dashboard_url.clone() }));
        Ok(match judged {
            Judged::Done => Outcome::Done(Provisioned { data, web_url: dashboard_url }),
            Judged::Accepted => Outcome::Working(Working { data, ..self.working(&reply) }),
        })
    }

    async fn change_plan(
        &self,
        work: &Work,
        plan: &PlanReference,
    ) -> Result<Outcome<Changed>, ProviderError> {
        let path = instance(work);
        if work.is_accepted {
            return match self.poll(&path, work).await {
                // The addon is still there, with its present plan.
                Err(ProviderError::Broken(reason)) => Err(ProviderError::Refused(reason)),
                Err(error) => Err(error),
                Ok(working) => Ok(working.map_or(Outcome::Done(Changed::default()), Outcome::Working)),
            };
        }
        let body = InstanceUpdate::of(work, plan);
        let reply = self.client.patch(&format!("{path}?accepts_incomplete=true"), &body).await;
        let reply = reply.map_err(answer::unheard)?;
        Ok(match answer::judge(Kind::Change, &reply)? {
            Judged::Done => Outcome::Done(Changed::default()),
            Judged::Accepted => Outcome::Working(self.working(&reply)),
        })
    }

    async fn bind(&self, work: &Work, to: &AddonAttachment) -> Result<Outcome<ConfigVars>, ProviderError> {
        if work.plan.as_ref().is_some_and(|plan| !plan.bindable) {
            return Ok(Outcome::Done(ConfigVars::new()));
        }
        let path = binding(work, to);
        if work.is_accepted {
            if let Some(working) = self.poll(&path, work).await? {
                return Ok(Outcome::Working(working));
            }
            let query = request::query(work, None);
            let reply = self.client.get(&format!("{path}?{query}")).await.map_err(answer::unheard)?;
            if reply.status != 200 {
                return Err(ProviderError::Later(reply.complaint()));
            }
            return Ok(Outcome::Done(credentials::variables(&work.addon.service.name, &reply)?));
        }
        let body = NewBinding::of(work, to);
        let reply = self.client.put(&format!("{path}?accepts_incomplete=true"), &body).await;
        let reply = reply.map_err(answer::unheard_making)?;
        Ok(match answer::judge(Kind::Making, &reply)? {
            Judged::Done => Outcome::Done(credentials::variables(&work.addon.service.name, &reply)?),
            Judged::Accepted => Outcome::Working(self.working(&reply)),
        })
    }

    async fn unbind(&self, work: &Work, from: &AddonAttachment) -> Result<Outcome<Removed>, ProviderError> {
        if work.plan.as_ref().is_some_and(|plan| !plan.bindable) {
            return Ok(Outcome::Done(Removed));
        }
        self.remove(&binding(work, from), work).await
    }

    async fn deprovision(&self, work: &Work) -> Result<Outcome<Removed>, ProviderError> {
        self.remove(&instance(work), work).await
    }

    /// Passed on to the broker, below the service instance, as the production server does (`behaviour.md` §18).
    async fn act(&self, work: &Work, action: &Action) -> Result<Option<Acted>, ProviderError> {
        let path = format!("{}/actions/{}", instance(work), action.name);
        let reply = self.client.pass_on(&path, action).await.map_err(answer::unheard)?;
        match reply.status {
            401 | 403 | 407 | 500.. => Err(ProviderError::Later(reply.complaint())),
            status => {
                let body =
                    if reply.json.is_null() { Vec::new() } else { reply.json.to_string().into_bytes() };
                Ok(Some(Acted { status, body, rework: Rework::default() }))
            }
        }
    }
}

fn instance(work: &Work) -> String {
    format!("/v2/service_instances/{}", work.addon.id)
}

fn binding(work: &Work, attachment: &AddonAttachment) -> String {
    format!("{}/service_bindings/{}", instance(work), attachment.id)
}

/// Where the broker shows the addon, when that is a web address.
fn dashboard(reply: &Reply) -> String {
    let is_web = |url: &String| {
        let web = url.starts_with("https://") || url.starts_with("http://");
        web && url.len() <= URL_LIMIT && !url.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    reply.text("dashboard_url").filter(is_web).unwrap_or_default()
}

fn kept(work: &Work) -> Kept {
    let read = |data: &ProviderData| serde_json::from_str(data.reveal()).ok();
    work.data.as_ref().and_then(read).unwrap_or_default()
}

fn remember(kept: &Kept) -> ProviderData {
    ProviderData::new(serde_json::json!(kept).to_string())
}
