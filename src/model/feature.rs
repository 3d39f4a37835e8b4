//! App features: switches that are on or off for one app.

use uuid::Uuid;

use super::ids::deterministic;
use super::rule::{RuleError, shown};

crate::text_enum! {
    /// Every feature (`behaviour.md` §14). What is shown about each is in the catalogue.
    pub enum Feature {
        /// Each successful build is released at once; on when an app is created.
        AutoRelease => "auto-release",
        Preview => "preview",
        PreviewSites => "preview-sites",
        PreviewAddons => "preview-addons",
        PreviewDynos => "preview-dynos",
        ServiceMesh => "service-mesh",
        Http2EndToEnd => "http2-end-to-end",
        /// On when an app is created, deprecated: the edge always offers HTTP/2.
        Http2 => "http2",
        CspJavascript => "csp-javascript",
        CspMedia => "csp-media",
        CspUnsafe => "csp-unsafe",
        CspEmbedded => "csp-embedded",
        ContainerPorts => "container-ports",
        /// At most one dyno of each type, and never two together: the old one has stopped before a new one starts.
        SingleDyno => "single-dyno",
    }
}

crate::text_enum! {
    /// How finished a feature is; a deprecated one cannot be switched.
    pub enum FeatureState {
        Alpha => "alpha",
        Beta => "beta",
        Public => "public",
        Ga => "ga",
        Deprecated => "deprecated",
    }
}

/// A feature as the operator presents it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedFeature {
    pub feature: Feature,
    pub id: Uuid,
    pub state: FeatureState,
    pub display_name: String,
    pub description: String,
    /// May be empty.
    pub feedback_email: String,
}

/// A `[[feature]]` of the catalogue file.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeatureFile {
    name: String,
    id: Option<Uuid>,
    state: FeatureState,
    display_name: String,
    description: String,
    #[serde(default)]
    feedback_email: String,
}

impl Feature {
    /// The features that a new app starts with (`behaviour.md` §3).
    pub const ON_AT_CREATION: &'static [Self] = &[Self::AutoRelease, Self::Http2];

    /// Whether it says that an app gets previews, or how.
    pub fn is_about_previews(self) -> bool {
        matches!(self, Self::Preview | Self::PreviewSites | Self::PreviewAddons | Self::PreviewDynos)
    }
}

impl OfferedFeature {
    /// The features of the file; none may be there twice.
    pub(super) fn from_files(files: Vec<FeatureFile>) -> Result<Vec<Self>, RuleError> {
        let mut offered: Vec<Self> = Vec::with_capacity(files.len());
        for file in files {
            let feature: Feature = file.name.parse()?;
            if offered.iter().any(|earlier| earlier.feature == feature) {
                return Err(RuleError::new(format!("The feature {} is there twice.", shown(&file.name))));
            }
            offered.push(Self {
                feature,
                id: file.id.unwrap_or_else(|| deterministic(&file.name)),
                state: file.state,
                display_name: file.display_name,
                description: file.description,
                feedback_email: file.feedback_email,
            });
        }
        Ok(offered)
    }
}
