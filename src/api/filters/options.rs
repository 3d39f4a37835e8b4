//! The options of each type of filter, as clients write them and read them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::model::RuleError;
use crate::model::filter::{
    BasicAuthOptions, CorsOptions, Credential, CspOptions, FilterOptions, IpOptions, JwtOptions, NewCors,
    OriginPattern, RateLimitOptions,
};

/// The type of a filter and its options.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", content = "options", rename_all = "kebab-case")]
pub(super) enum FilterOptionsBody {
    Jwt(JwtBody),
    Cors(CorsBody),
    Csp(CspBody),
    BasicAuth(BasicAuthBody),
    Ip(IpBody),
    RateLimit(RateLimitBody),
}

/// An array of texts, or one text with commas.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::api) enum Texts {
    Several(Vec<String>),
    Joined(String),
}

/// Requests need a bearer token that is signed by a key of the set, comes from the issuer, is for one of the
/// audiences where there are any, and has not expired.
#[derive(Deserialize, ToSchema)]
pub(super) struct JwtBody {
    jwks_uri: String,
    issuer: String,
    audiences: Option<Texts>,
}

/// Which other sites may read the answers.
#[derive(Deserialize, ToSchema)]
pub(super) struct CorsBody {
    /// `*`, or hosts with or without scheme and port.
    allow_origin: Texts,
    allow_methods: Option<Texts>,
    allow_headers: Option<Texts>,
    expose_headers: Option<Texts>,
    /// Seconds; a day when absent.
    max_age: Option<u32>,
    allow_credentials: Option<bool>,
}

/// The Content-Security-Policy of the answers.
#[derive(Deserialize, ToSchema)]
pub(super) struct CspBody {
    policy: String,
}

/// Requests need the name and password of one of these.
#[derive(Deserialize, ToSchema)]
pub(super) struct BasicAuthBody {
    realm: Option<String>,
    users: Vec<BasicAuthUserBody>,
}

/// A name and a password.
#[derive(Deserialize, ToSchema)]
pub(super) struct BasicAuthUserBody {
    name: String,
    /// May be absent in a change: then it stays.
    password: Option<String>,
}

/// Which clients may come: all of `allow`, or everyone where that is empty, but none of `deny`.
#[derive(Deserialize, ToSchema)]
pub(super) struct IpBody {
    allow: Option<Texts>,
    deny: Option<Texts>,
}

/// How many requests each client may send.
#[derive(Deserialize, ToSchema)]
pub(super) struct RateLimitBody {
    requests: u32,
    /// Seconds; 60 when absent.
    period: Option<u32>,
    /// At once; as `requests` when absent.
    burst: Option<u32>,
}

/// The options as every answer shows them.
pub(super) fn shown(options: &FilterOptions) -> Value {
    match options {
        FilterOptions::Jwt(jwt) => json!({
            "jwks_uri": jwt.jwks_uri.as_str(), "issuer": jwt.issuer, "audiences": jwt.audiences
        }),
        FilterOptions::Cors(cors) => json!({
            "allow_origin": cors.allow_origin.iter().map(OriginPattern::as_str).collect::<Vec<_>>(),
            "allow_methods": cors.allow_methods, "allow_headers": cors.allow_headers,
            "expose_headers": cors.expose_headers, "max_age": cors.max_age,
            "allow_credentials": cors.allow_credentials
        }),
        FilterOptions::Csp(csp) => json!({ "policy": csp.policy }),
        FilterOptions::BasicAuth(basic) => {
            let users: Vec<_> = basic.users.iter().map(|user| json!({ "name": user.name })).collect();
            json!({ "realm": basic.realm, "users": users })
        }
        FilterOptions::Ip(ip) => json!({ "allow": ip.allow, "deny": ip.deny }),
        FilterOptions::RateLimit(rate) => {
            json!({ "requests": rate.requests, "period": rate.period, "burst": rate.burst })
        }
    }
}

impl Texts {
    /// The items; those of an absent list are none.
    pub(in crate::api) fn list(texts: Option<Self>) -> Vec<String> {
        match texts {
            None => Vec::new(),
            Some(Self::Several(items)) => items,
            Some(Self::Joined(text)) => {
                text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
            }
        }
    }
}

impl FilterOptionsBody {
    /// The options, when they keep to the rules of their type.
    pub(super) fn checked(self) -> Result<FilterOptions, RuleError> {
        Ok(match self {
            Self::Jwt(jwt) => {
                FilterOptions::Jwt(JwtOptions::new(&jwt.jwks_uri, &jwt.issuer, &Texts::list(jwt.audiences))?)
            }
            Self::Cors(cors) => FilterOptions::Cors(CorsOptions::new(NewCors {
                allow_origin: Texts::list(Some(cors.allow_origin)),
                allow_methods: Texts::list(cors.allow_methods),
                allow_headers: Texts::list(cors.allow_headers),
                expose_headers: Texts::list(cors.expose_headers),
                max_age: cors.max_age,
                allow_credentials: cors.allow_credentials.unwrap_or_default(),
            })?),
            Self::Csp(csp) => FilterOptions::Csp(CspOptions::new(&csp.policy)?),
            Self::BasicAuth(basic) => {
                let user = |user: BasicAuthUserBody| {
                    Credential::new(&user.name, user.password.as_deref(), rand::random())
                };
                let users = basic.users.into_iter().map(user).collect::<Result<_, _>>()?;
                FilterOptions::BasicAuth(BasicAuthOptions::new(basic.realm.as_deref(), users)?)
            }
            Self::Ip(ip) => FilterOptions::Ip(IpOptions::new(&Texts::list(ip.allow), &Texts::list(ip.deny))?),
            Self::RateLimit(rate) => {
                FilterOptions::RateLimit(RateLimitOptions::new(rate.requests, rate.period, rate.burst)?)
            }
        })
    }
}
