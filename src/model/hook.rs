//! Hooks: what other systems can be told of an app.

crate::text_enum! {
    /// The events that a hook can ask for (`behaviour.md` §22).
    pub enum HookEvent {
        AddonChange => "addon_change",
        Build => "build",
        ConfigChange => "config_change",
        Crashed => "crashed",
        Destroy => "destroy",
        Updated => "updated",
        FeatureChange => "feature_change",
        FormationChange => "formation_change",
        LogdrainChange => "logdrain_change",
        PipelinePromotion => "pipeline_promotion",
        Preview => "preview",
        PreviewReleased => "preview-released",
        Release => "release",
        Released => "released",
        SecurityScan => "security_scan",
    }
}

impl HookEvent {
    /// When it is told, for people.
    pub const fn description(self) -> &'static str {
        match self {
            Self::AddonChange => "An addon was created or deleted.",
            Self::Build => "A build was queued, succeeded or failed.",
            Self::ConfigChange => "Config vars were set or removed.",
            Self::Crashed => "A dyno ended by itself, did not start, or ran out of memory.",
            Self::Destroy => "The app was deleted.",
            Self::Updated => "The app's description, labels or maintenance changed.",
            Self::FeatureChange => "A feature was switched on or off.",
            Self::FormationChange => "A formation was made, scaled, changed or deleted.",
            Self::LogdrainChange => "A log drain was added or removed.",
            Self::PipelinePromotion => "A release was promoted to the app through a pipeline.",
            Self::Preview => "A preview app was made for a pull request.",
            Self::PreviewReleased => "A preview app was released.",
            Self::Release => "A release began.",
            Self::Released => "A release is running.",
            Self::SecurityScan => "A security scan reported a result.",
        }
    }
}
