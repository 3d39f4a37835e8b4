//! How the parts of a blueprint may be written: `null` for nothing, digits for a number, a text for a config var.

use serde::{Deserialize, Deserializer};

use super::BlueprintVar;

/// What stands there, or the default for `null`.
pub(super) fn given<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A whole number, or its digits as a text (reading 23).
pub(super) fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a whole number, or its digits")]
    enum Number {
        Number(i64),
        Digits(String),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(Number::Number(number)) => Ok(Some(number)),
        Some(Number::Digits(digits)) => digits
            .parse::<u32>()
            .map(|number| Some(i64::from(number)))
            .map_err(|_| serde::de::Error::custom("expected a whole number, or its digits")),
    }
}

/// What a config var can hold as its value; numbers and truths become text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a text")]
enum Scalar {
    Text(String),
    Truth(bool),
    Number(serde_json::Number),
}

/// A value alone, or a value with its note. `default` is what a form shows first, and counts where there is no value.
pub(super) fn text_or_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BlueprintVar, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text, or an object with a value")]
    enum Written {
        Value(Scalar),
        Object {
            value: Option<Scalar>,
            default: Option<Scalar>,
            #[serde(default, deserialize_with = "given")]
            description: String,
            #[serde(default, deserialize_with = "given")]
            required: bool,
        },
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Value(value) => BlueprintVar { value: Some(value.into_text()), ..BlueprintVar::default() },
        Written::Object { value, default, description, required } => {
            BlueprintVar { value: value.or(default).map(Scalar::into_text), description, required }
        }
    })
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Truth(truth) => truth.to_string(),
            Self::Number(number) => number.to_string(),
        }
    }
}
