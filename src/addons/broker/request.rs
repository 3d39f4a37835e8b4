//! What brokers are sent.

use serde::Serialize;

use super::Work;
use crate::model::addon::PlanReference;
use crate::model::addon_attachment::AddonAttachment;
use crate::model::ids::AppId;
use crate::model::names::AppKey;

/// A service instance to be made.
#[derive(Debug, Serialize)]
pub(super) struct NewInstance<'a> {
    #[serde(flatten)]
    version: Version<'a>,
    context: Place,
    organization_guid: String,
    space_guid: String,
}

/// A service instance that shall have another plan.
#[derive(Debug, Serialize)]
pub(super) struct InstanceUpdate<'a> {
    #[serde(flatten)]
    version: Version<'a>,
    context: Place,
    previous_values: Version<'a>,
}

/// A binding to be made.
#[derive(Debug, Serialize)]
pub(super) struct NewBinding<'a> {
    #[serde(flatten)]
    version: Version<'a>,
    context: Place,
    app_guid: AppId,
    bind_resource: BoundResource,
}

/// Which plan of which service, in the broker's words.
#[derive(Debug, Serialize)]
pub(super) struct Version<'a> {
    service_id: &'a str,
    plan_id: &'a str,
}

/// For whom an instance is.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    platform: &'static str,
    instance_name: String,
    app: String,
    space: String,
}

#[derive(Debug, Serialize)]
struct BoundResource {
    app_guid: AppId,
}

/// The query that names the plan, and the operation where there is one.
pub(super) fn query(work: &Work, operation: Option<&str>) -> String {
    let mut pairs = vec![
        ("service_id", work.addon.service.reference.as_str()),
        ("plan_id", work.addon.plan.reference.as_str()),
    ];
    pairs.extend(operation.map(|operation| ("operation", operation)));
    serde_urlencoded::to_string(pairs).unwrap_or_default()
}

impl<'a> NewInstance<'a> {
    pub(super) fn of(work: &'a Work) -> Self {
        Self {
            version: Version::present(work),
            context: Place::of(work),
            organization_guid: work.addon.app.organization.to_string(),
            space_guid: work.addon.app.space.to_string(),
        }
    }
}

impl<'a> InstanceUpdate<'a> {
    pub(super) fn of(work: &'a Work, plan: &'a PlanReference) -> Self {
        let present = Version::present(work);
        Self {
            version: Version { service_id: present.service_id, plan_id: &plan.reference },
            context: Place::of(work),
            previous_values: present,
        }
    }
}

impl<'a> NewBinding<'a> {
    pub(super) fn of(work: &'a Work, to: &AddonAttachment) -> Self {
        Self {
            version: Version::present(work),
            context: Place::of(work),
            app_guid: to.app.id,
            bind_resource: BoundResource { app_guid: to.app.id },
        }
    }
}

impl<'a> Version<'a> {
    fn present(work: &'a Work) -> Self {
        Self { service_id: &work.addon.service.reference, plan_id: &work.addon.plan.reference }
    }
}

impl Place {
    fn of(work: &Work) -> Self {
        let app = &work.addon.app;
        Self {
            platform: "akkeris",
            instance_name: work.addon.name.to_string(),
            app: AppKey::of(&app.name, &app.space).to_string(),
            space: app.space.to_string(),
        }
    }
}
