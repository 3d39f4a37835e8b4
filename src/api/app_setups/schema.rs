//! The form of a blueprint for the document of the API; [`crate::model::blueprint`] reads and writes it.

#![expect(dead_code, reason = "only the schemas of these are used")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// All that makes an app.
#[derive(ToSchema)]
#[schema(as = Blueprint)]
pub(super) struct BlueprintBody {
    app: BlueprintAppBody,
    /// By name. `PORT` is the port of `web`.
    env: Option<BTreeMap<String, BlueprintVarBody>>,
    /// By type.
    formation: Option<BTreeMap<String, BlueprintFormationBody>>,
    /// By any name.
    addons: Option<BTreeMap<String, BlueprintAddonBody>>,
    /// Addons of other apps.
    attachments: Option<Vec<BlueprintAttachmentBody>>,
    source_blob: BlueprintSourceBody,
    #[schema(rename = "log-drains")]
    log_drains: Option<Vec<BlueprintDrainBody>>,
    /// One at most.
    #[schema(rename = "pipeline-couplings")]
    couplings: Option<Vec<BlueprintCouplingBody>>,
    features: Option<Vec<BlueprintFeatureBody>>,
    filters: Option<Vec<BlueprintFilterBody>>,
    /// By domain. A path that leads to another app already stays there.
    sites: Option<BTreeMap<String, BlueprintSiteBody>>,
}

/// The app itself.
#[derive(ToSchema)]
#[schema(as = BlueprintApp)]
struct BlueprintAppBody {
    /// Letters and digits only.
    name: String,
    /// Its name; `org` means the same and wins.
    organization: Option<String>,
    org: Option<String>,
    /// Name or id of a space.
    space: String,
    /// One that exists; the app is on that of its space.
    stack: Option<String>,
    region: Option<String>,
    description: Option<String>,
    labels: Option<String>,
    locked: Option<bool>,
    personal: Option<bool>,
}

/// A config var and its note. A text alone is a value.
#[derive(ToSchema)]
#[schema(as = BlueprintVar)]
struct BlueprintVarBody {
    value: Option<String>,
    /// Without a value there is no app.
    required: Option<bool>,
    description: Option<String>,
}

/// A process type.
#[derive(ToSchema)]
#[schema(as = BlueprintFormation)]
struct BlueprintFormationBody {
    /// 0 to 32; 1 when absent.
    quantity: Option<u8>,
    size: Option<String>,
    command: Option<String>,
    port: Option<u16>,
    /// A path; `health-check` means the same.
    healthcheck: Option<String>,
    oneoff: Option<bool>,
    schedule: Option<BlueprintScheduleBody>,
    options: Option<BlueprintOptionsBody>,
}

/// When a one-off dyno of the type starts by itself.
#[derive(ToSchema)]
#[schema(as = BlueprintSchedule)]
struct BlueprintScheduleBody {
    cron: String,
    time_zone: Option<String>,
    overlap: Option<String>,
}

/// What one-off dynos of the type are made with instead.
#[derive(ToSchema)]
#[schema(as = BlueprintOptions)]
struct BlueprintOptionsBody {
    image: Option<String>,
    env: Option<BTreeMap<String, String>>,
}

/// An addon to be made.
#[derive(ToSchema)]
#[schema(as = BlueprintAddon)]
struct BlueprintAddonBody {
    /// As `service:plan`.
    plan: String,
    /// Whether it has the plain names of the variables; of several of one service the first one otherwise.
    primary: Option<bool>,
}

/// An addon of another app.
#[derive(ToSchema)]
#[schema(as = BlueprintAttachment)]
struct BlueprintAttachmentBody {
    id: Option<String>,
    name: Option<String>,
    app: Option<String>,
    /// Its name for the new app.
    #[schema(rename = "as")]
    alias: Option<String>,
}

/// What is built.
#[derive(ToSchema)]
#[schema(as = BlueprintSource)]
struct BlueprintSourceBody {
    checksum: Option<String>,
    /// `data:`, `http(s)://` or `docker://registry/repository:tag`. An `app.json` at the root of an archive fills what the
    /// blueprint leaves open.
    url: String,
    version: Option<String>,
}

/// A log drain.
#[derive(ToSchema)]
#[schema(as = BlueprintDrain)]
struct BlueprintDrainBody {
    url: String,
    /// One is made when absent.
    token: Option<String>,
}

/// The app's place in a pipeline.
#[derive(ToSchema)]
#[schema(as = BlueprintCoupling)]
struct BlueprintCouplingBody {
    pipeline: String,
    stage: String,
    required_status_checks: Option<BlueprintChecksBody>,
}

/// What a promotion to the app requires.
#[derive(ToSchema)]
#[schema(as = BlueprintChecks)]
struct BlueprintChecksBody {
    contexts: Vec<String>,
}

/// Whether a feature is on; named by id or name.
#[derive(ToSchema)]
#[schema(as = BlueprintFeature)]
struct BlueprintFeatureBody {
    id: Option<String>,
    name: Option<String>,
    enabled: bool,
}

/// A filter to be attached.
#[derive(ToSchema)]
#[schema(as = BlueprintFilter)]
struct BlueprintFilterBody {
    filter: BlueprintReferenceBody,
    options: Option<BlueprintScopeBody>,
}

/// Id or name.
#[derive(ToSchema)]
#[schema(as = BlueprintReference)]
struct BlueprintReferenceBody {
    id: String,
}

/// For which paths a filter is in force.
#[derive(ToSchema)]
#[schema(as = BlueprintScope)]
struct BlueprintScopeBody {
    includes: Option<Vec<String>>,
    excludes: Option<Vec<String>>,
}

/// The routes of one site that lead to the app.
#[derive(ToSchema)]
#[schema(as = BlueprintSite)]
struct BlueprintSiteBody {
    routes: Vec<BlueprintRouteBody>,
}

/// A route.
#[derive(ToSchema)]
#[schema(as = BlueprintRoute)]
struct BlueprintRouteBody {
    source_path: String,
    target_path: Option<String>,
}
