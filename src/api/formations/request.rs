//! What clients send about formations, and its checks in the documented order (`behaviour.md` §5).

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::once::{Options, ScheduleBody, ScheduleChange};
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::catalogue::Catalogue;
use crate::model::command::Command;
use crate::model::formation::{HealthCheck, Port, Quantity};
use crate::model::names::{ProcessType, SizeName};
use crate::model::rule::shown;
use crate::service::formations::{self, CommandChange, FormationChange, HealthCheckChange, NewFormation};

/// A formation to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct CreateFormation {
    /// `web` receives requests; any other type does not.
    #[serde(rename = "type", default)]
    #[schema(required)]
    process_type: String,
    /// A name of `GET /sizes`.
    #[schema(value_type = Option<String>)]
    size: Option<Value>,
    /// 0 to 32; 1 when absent.
    #[schema(value_type = Option<u8>)]
    quantity: Option<Value>,
    #[schema(value_type = Option<u16>)]
    port: Option<Value>,
    #[schema(value_type = Option<String>)]
    command: Option<Value>,
    /// A path that answers 200 to 399 when the dyno is healthy.
    #[schema(value_type = Option<String>)]
    healthcheck: Option<Value>,
    /// Whether its dynos are one-off dynos, which are started by `POST /apps/{app}/dynos` or by the schedule.
    oneoff: Option<bool>,
    /// When a one-off dyno is started by itself; `null` takes the schedule away.
    #[serde(default)]
    #[schema(value_type = Option<ScheduleBody>)]
    schedule: ScheduleChange,
    /// What its one-off dynos are made with instead.
    options: Option<Options>,
}

/// What shall change; what is absent or `null` stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct UpdateFormation {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    size: Option<Value>,
    #[schema(value_type = Option<u8>)]
    quantity: Option<Value>,
    #[schema(value_type = Option<u16>)]
    port: Option<Value>,
    #[schema(value_type = Option<String>)]
    command: Option<Value>,
    #[schema(value_type = Option<String>)]
    healthcheck: Option<Value>,
    #[serde(rename = "removeHealthcheck")]
    remove_healthcheck: Option<bool>,
    #[serde(rename = "remove-command")]
    remove_command: Option<bool>,
    /// Whether its dynos are one-off dynos, which are started by `POST /apps/{app}/dynos` or by the schedule.
    oneoff: Option<bool>,
    /// When a one-off dyno is started by itself; `null` takes the schedule away.
    #[serde(default)]
    #[schema(value_type = Option<ScheduleBody>)]
    schedule: ScheduleChange,
    /// What its one-off dynos are made with instead.
    options: Option<Options>,
}

/// One formation of a batch.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct BatchEntry {
    #[serde(rename = "type")]
    process_type: Option<String>,
    #[serde(flatten)]
    update: UpdateFormation,
}

impl CreateFormation {
    pub(super) fn read(self, catalogue: &Catalogue, app: &App) -> Result<NewFormation, RuleError> {
        let default_size = formations::find_size(catalogue, app, catalogue.default_size.as_str())?;
        let update = UpdateFormation {
            size: self.size,
            quantity: self.quantity,
            port: self.port,
            command: self.command,
            healthcheck: self.healthcheck,
            remove_healthcheck: None,
            remove_command: None,
            oneoff: self.oneoff,
            schedule: self.schedule,
            options: self.options,
        };
        let (process_type, change) = update.read(catalogue, app, &self.process_type)?;
        Ok(NewFormation { process_type, default_size, change })
    }
}

impl BatchEntry {
    pub(super) fn read(
        self,
        catalogue: &Catalogue,
        app: &App,
    ) -> Result<(ProcessType, FormationChange), RuleError> {
        let process_type = self
            .process_type
            .ok_or_else(|| RuleError::new("An entry has no type; name the formation that it changes."))?;
        self.update.read(catalogue, app, &process_type)
    }
}

impl UpdateFormation {
    pub(super) fn read(
        self,
        catalogue: &Catalogue,
        app: &App,
        process_type: &str,
    ) -> Result<(ProcessType, FormationChange), RuleError> {
        let size = self.size.map(|size| read_size(&size, catalogue, app)).transpose()?;
        let process_type = ProcessType::parse(process_type)?;
        let quantity =
            self.quantity.map(|value| number("quantity", &value).and_then(Quantity::new)).transpose()?;
        let port = self.port.map(|value| number("port", &value).and_then(Port::new)).transpose()?;
        let remove_healthcheck = self.remove_healthcheck.unwrap_or(false);
        if !process_type.is_web() && (port.is_some() || self.healthcheck.is_some() || remove_healthcheck) {
            return Err(RuleError::new(format!(
                "The type {process_type} has no port and no healthcheck; only web receives requests."
            )));
        }
        let healthcheck = match self.healthcheck {
            _ if remove_healthcheck => Some(HealthCheckChange::Remove),
            Some(value) => Some(HealthCheckChange::Set(HealthCheck::parse(text("healthcheck", &value)?)?)),
            None => None,
        };
        let command = match self.command {
            _ if self.remove_command == Some(true) => Some(CommandChange::Remove),
            Some(value) => Some(CommandChange::Set(Command::parse(text("command", &value)?)?)),
            None => None,
        };
        let runs = self.schedule.runs(self.oneoff, &process_type)?;
        let (image, env) = self.options.unwrap_or_default().read()?;
        let change = FormationChange { size, quantity, command, port, healthcheck, runs, image, env };
        Ok((process_type, change))
    }
}

fn read_size(value: &Value, catalogue: &Catalogue, app: &App) -> Result<SizeName, RuleError> {
    formations::find_size(catalogue, app, text("size", value)?)
}

/// A whole number, or its digits as a text (reading 23).
fn number(field: &str, value: &Value) -> Result<i64, RuleError> {
    let digits = |text: &str| {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())
    };
    let number = value.as_i64().or_else(|| value.as_str().and_then(digits).flatten());
    number.ok_or_else(|| {
        let given = shown(&value.to_string());
        RuleError::new(format!("The {field} {given} is not a whole number; send its digits only."))
    })
}

fn text<'a>(field: &str, value: &'a Value) -> Result<&'a str, RuleError> {
    value.as_str().ok_or_else(|| {
        let given = shown(&value.to_string());
        RuleError::new(format!("The {field} {given} is not a text; put it in quotes."))
    })
}

/// Tells `null`, which counts as present, from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
