//! What a security scan reports of an app (`behaviour.md` §23).

use serde::{Deserialize, Serialize};

use super::rule::{RuleError, shown};

/// Longest of each text, in characters.
const TEXT_LIMIT: usize = 4_096;

/// The report of a scanner, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityScan {
    pub status: String,
    /// Who scanned.
    pub service_name: String,
    pub message: String,
    /// Where people read more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

impl SecurityScan {
    /// Checks that everything is there and bounded; a link is one of the web.
    pub fn check(self) -> Result<Self, RuleError> {
        for (field, text) in
            [("status", &self.status), ("service_name", &self.service_name), ("message", &self.message)]
        {
            if text.trim().is_empty() {
                return Err(RuleError::new(format!(
                    "The field \"{field}\" is missing; a security_scan needs it."
                )));
            }
            check_length(field, text)?;
        }
        if let Some(link) = &self.link {
            check_length("link", link)?;
            if !link.starts_with("https://") && !link.starts_with("http://") {
                return Err(RuleError::new(format!(
                    "The link {} is no address of the web; it begins with https:// or http://.",
                    shown(link)
                )));
            }
        }
        Ok(self)
    }
}

fn check_length(field: &str, text: &str) -> Result<(), RuleError> {
    let length = text.chars().count();
    if length > TEXT_LIMIT {
        return Err(RuleError::new(format!(
            "The {field} has {length} characters; at most {TEXT_LIMIT} are taken."
        )));
    }
    Ok(())
}
