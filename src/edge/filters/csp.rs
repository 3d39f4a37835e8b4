//! The type `csp`: a Content-Security-Policy beside the one that an app may send itself. Browsers keep to both.

use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderMap, HeaderValue};

use crate::model::filter::CspOptions;

#[derive(Debug)]
pub(super) struct Csp(HeaderValue);

impl Csp {
    pub(super) fn new(options: &CspOptions) -> Option<Self> {
        HeaderValue::from_str(&options.policy).ok().map(Self)
    }

    pub(super) fn dress(&self, headers: &mut HeaderMap) {
        headers.append(CONTENT_SECURITY_POLICY, self.0.clone());
    }
}
