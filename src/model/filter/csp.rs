//! The type `csp`: a Content-Security-Policy for an app's answers, also as the features `csp-…` make one.

use super::check_header_text;
use crate::model::feature::Feature;
use crate::model::rule::RuleError;

/// The policy that browsers are told of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CspOptions {
    pub policy: String,
}

const POLICY_LIMIT: usize = 4096;

impl CspOptions {
    /// Up to 4096 printable characters.
    pub fn new(policy: &str) -> Result<Self, RuleError> {
        check_header_text("policy", policy, POLICY_LIMIT)?;
        Ok(Self { policy: policy.trim().to_owned() })
    }
}

/// The policy of an app with these features on; `None` when none of them asks for one (`behaviour.md` §14, §32). It
/// begins with `default-src https:`, and each feature narrows its own area as the catalogue describes it.
pub fn feature_policy(features: &[Feature]) -> Option<CspOptions> {
    let on = |feature| features.contains(&feature);
    let (scripts, media) = (on(Feature::CspJavascript), on(Feature::CspMedia));
    let (inline_refused, embedded) = (on(Feature::CspUnsafe), on(Feature::CspEmbedded));
    if !(scripts || media || inline_refused || embedded) {
        return None;
    }
    let source = if scripts { "'self'" } else { "https:" };
    let (inline, inline_styles) =
        if inline_refused { ("", "") } else { (" 'unsafe-inline' 'unsafe-eval'", " 'unsafe-inline'") };
    let mut policy =
        format!("default-src https:; script-src {source}{inline}; style-src https:{inline_styles}");
    if media {
        policy += "; img-src 'self' data:; media-src 'self'";
    }
    if embedded {
        policy += "; object-src 'none'; frame-src 'none'";
    }
    Some(CspOptions { policy })
}
