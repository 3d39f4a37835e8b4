//! Compliance tags of a space (`behaviour.md` §15): free labels, of which `socs`, `prod` and `internal` have effects.

use super::rule::{RuleError, shown};

/// The tags of a space, in the order given, without repetition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compliance(Vec<String>);

impl Compliance {
    /// Each tag is up to 32 letters, digits, dashes or underscores, at most 16 of them.
    pub fn parse(tags: &[String]) -> Result<Self, RuleError> {
        let mut kept: Vec<String> = Vec::new();
        for tag in tags {
            let charset = tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if tag.is_empty() || tag.len() > 32 || !charset {
                return Err(RuleError::new(format!(
                    "The compliance \"{}\" is not usable: use up to 32 letters, digits and dashes, for example socs or prod.",
                    shown(tag)
                )));
            }
            let tag = tag.to_ascii_lowercase();
            if !kept.contains(&tag) {
                kept.push(tag);
            }
        }
        if kept.len() > 16 {
            return Err(RuleError::new("A space has at most 16 compliance tags."));
        }
        Ok(Self(kept))
    }

    /// From the stored form, tags joined by commas.
    pub fn from_stored(text: &str) -> Self {
        Self(text.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect())
    }

    /// The stored form, tags joined by commas.
    pub fn to_stored(&self) -> String {
        self.0.join(",")
    }

    /// The form inside an app object: `compliance=socs,compliance=prod` (`behaviour.md` §3).
    pub fn to_app_text(&self) -> String {
        self.0.iter().map(|tag| format!("compliance={tag}")).collect::<Vec<_>>().join(",")
    }

    /// The tags, in order.
    pub fn tags(&self) -> &[String] {
        &self.0
    }

    /// Secrets are redacted in answers; deletions and builds need elevation.
    pub fn is_socs(&self) -> bool {
        self.has("socs")
    }

    /// Sizes get the suffix `-prod`; deletions and builds need elevation.
    pub fn is_prod(&self) -> bool {
        self.has("prod")
    }

    /// Whether builds and deletions in the space need an elevated principal.
    pub fn needs_elevation(&self) -> bool {
        self.is_socs() || self.is_prod()
    }

    fn has(&self, tag: &str) -> bool {
        self.0.iter().any(|t| t == tag)
    }
}
