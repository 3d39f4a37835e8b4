//! Notes on config vars: what one is for, and whether a copy of the app needs it.

use std::collections::BTreeMap;

use super::names::ConfigVarName;
use super::rule::RuleError;

/// What a person wrote about a config var (`behaviour.md` §13).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigVarNote {
    pub description: String,
    /// Whether a blueprint or a preview must be given a value.
    pub required: bool,
}

/// The notes of an app, by name; a config var without one has the default.
pub type ConfigVarNotes = BTreeMap<ConfigVarName, ConfigVarNote>;

/// Longest description, in characters.
const DESCRIPTION_LIMIT: usize = 1024;

impl ConfigVarNote {
    /// Bounds the description.
    pub fn check(&self, name: &ConfigVarName) -> Result<(), RuleError> {
        let length = self.description.chars().count();
        if length > DESCRIPTION_LIMIT {
            return Err(RuleError::new(format!(
                "The description of {name} has {length} characters; at most {DESCRIPTION_LIMIT} are kept."
            )));
        }
        Ok(())
    }
}
