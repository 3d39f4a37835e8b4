//! One-off dynos and schedules of a formation, as clients send and see them (`behaviour.md` §5).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::model::RuleError;
use crate::model::build::ImageReference;
use crate::model::config_var::{ConfigValue, ConfigVars};
use crate::model::names::{ConfigVarName, ProcessType};
use crate::model::schedule::{Overlap, Schedule, Scheduled};
use crate::model::time::Timestamp;
use crate::service::formations::RunsChange;

/// What happens to a schedule: `null` is told from absent.
#[derive(Debug, Default)]
pub(super) enum ScheduleChange {
    #[default]
    Keep,
    Remove,
    Set(ScheduleBody),
}

/// When a formation is run.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ScheduleBody {
    /// Minute, hour, day, month, weekday; or `@hourly`, `@daily`, `@weekly`, `@monthly`.
    cron: String,
    /// The IANA name of the zone that the fields are read in; `UTC` when absent.
    time_zone: Option<String>,
    /// What happens while the last run has not ended: `skip` (when absent), `allow` or `replace`.
    overlap: Option<String>,
}

/// What one-off dynos of a formation are made with instead of the release's image and beside the config vars.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct Options {
    /// A public image with its tag, pulled for each run.
    image: Option<String>,
    /// Never shown.
    env: Option<BTreeMap<String, String>>,
}

/// A schedule.
#[derive(Serialize, ToSchema)]
pub(super) struct ScheduleView {
    cron: String,
    time_zone: String,
    overlap: &'static str,
    #[schema(value_type = String, format = DateTime)]
    next_run_at: Timestamp,
}

impl ScheduleChange {
    /// Together with `oneoff`: how the dynos of a type come to be from now on.
    pub(super) fn runs(
        &self,
        oneoff: Option<bool>,
        process_type: &ProcessType,
    ) -> Result<Option<RunsChange>, RuleError> {
        if process_type.is_web() && (oneoff == Some(true) || matches!(self, Self::Set(_))) {
            return Err(RuleError::new("The dynos of web receive requests and cannot be one-off dynos."));
        }
        match (oneoff, self) {
            (Some(false), Self::Set(_)) => {
                Err(RuleError::new("Only one-off dynos have a schedule; leave oneoff out, or send true."))
            }
            (_, Self::Set(body)) => Ok(Some(RunsChange::Schedule(Box::new(body.read()?)))),
            (Some(false), _) => Ok(Some(RunsChange::Always)),
            (Some(true), Self::Remove) => Ok(Some(RunsChange::OnDemand)),
            (Some(true), Self::Keep) => Ok(Some(RunsChange::Once)),
            (None, Self::Remove) => Ok(Some(RunsChange::Unschedule)),
            (None, Self::Keep) => Ok(None),
        }
    }
}

impl ScheduleBody {
    fn read(&self) -> Result<Schedule, RuleError> {
        let overlap = self.overlap.as_deref().map(str::parse::<Overlap>).transpose()?;
        Schedule::parse(
            &self.cron,
            self.time_zone.as_deref().unwrap_or("UTC"),
            overlap.unwrap_or(Overlap::Skip),
        )
    }
}

impl Options {
    pub(super) fn read(self) -> Result<(Option<String>, Option<ConfigVars>), RuleError> {
        if let Some(image) = &self.image {
            ImageReference::parse(image)?;
        }
        let Some(env) = self.env else { return Ok((self.image, None)) };
        if env.is_empty() {
            return Err(RuleError::new("The options have an empty env; name a variable, or leave env out."));
        }
        let mut vars = ConfigVars::new();
        for (name, value) in env {
            let name = ConfigVarName::parse(&name)?;
            let value = ConfigValue::parse(&name, &value)?;
            vars.insert(name, value);
        }
        Ok((self.image, Some(vars)))
    }
}

impl ScheduleView {
    pub(super) fn new(scheduled: &Scheduled) -> Self {
        Self {
            cron: scheduled.schedule.pattern().to_owned(),
            time_zone: scheduled.schedule.zone().to_owned(),
            overlap: scheduled.schedule.overlap.as_str(),
            next_run_at: scheduled.due_at,
        }
    }
}

impl<'de> Deserialize<'de> for ScheduleChange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Remove, Self::Set))
    }
}
