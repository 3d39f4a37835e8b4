//! The process environment, read once: the only place that touches `std::env::var`.

use std::collections::BTreeMap;
use std::env::VarError;

use super::error::ConfigError;
use super::setting::Setting;

/// The variable with the first admin token. It has no key in the file and no flag, so that the token
/// neither lies in a configuration file nor shows in a process list.
const ADMIN_TOKEN: &str = "AKKERISD_ADMIN_TOKEN";
/// Set by a daemon for the process that it starts to take its place (`crate::upgrade`).
pub const SUCCESSOR: &str = "AKKERISD_SUCCESSOR";
/// Set for git, whose hook they lead to the daemon: the path of a socket, and the key of the push.
pub const PUSH_VARIABLES: (&str, &str) = ("AKKERISD_PUSH_SOCKET", "AKKERISD_PUSH_KEY");
/// Set by git for its hooks: where the objects lie that are not let in yet.
const QUARANTINE: &str = "GIT_QUARANTINE_PATH";
/// What Docker's own tools read; `AKKERISD_DOCKER_HOST` wins over it.
pub(super) const DOCKER_HOST: &str = "DOCKER_HOST";

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// The variables that the daemon knows, as they were when it started.
#[derive(Debug, Default)]
pub struct Environment {
    values: BTreeMap<&'static str, String>,
    admin_token: Option<Secret>,
}

impl Environment {
    /// Reads the variables of this process. An empty variable counts as unset.
    pub fn of_process() -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        let known = Setting::all().map(|setting| (setting.variable, setting.expected));
        for (variable, expected) in known.chain([(DOCKER_HOST, "the address of a Docker Engine")]) {
            if let Some(value) = read(variable, expected)? {
                values.insert(variable, value);
            }
        }
        Ok(Self { values, admin_token: read(ADMIN_TOKEN, "a token")?.map(Secret::new) })
    }

    /// An environment of given variables, for tests; names that no setting has are dropped.
    pub fn of(variables: &[(&'static str, &str)]) -> Self {
        let mut environment = Self::default();
        for (variable, value) in variables {
            if *variable == ADMIN_TOKEN {
                environment.admin_token = Some(Secret::new((*value).to_owned()));
            } else {
                environment.values.insert(variable, (*value).to_owned());
            }
        }
        environment
    }

    pub(super) fn get(&self, variable: &str) -> Option<&str> {
        self.values.get(variable).map(String::as_str)
    }

    pub(super) fn admin_token(&self) -> Option<&Secret> {
        self.admin_token.as_ref()
    }
}

/// Whether a daemon started this process to take its place.
pub fn is_successor() -> Result<bool, ConfigError> {
    Ok(read(SUCCESSOR, "set by a daemon for its successor only")?.is_some())
}

/// What git's hook was given.
pub struct PushVariables {
    pub socket: String,
    pub key: String,
    pub quarantine: Option<String>,
}

/// The token of a command that is a client of the API (`AKKERISD_TOKEN`).
pub fn client_token() -> Result<Option<Secret>, ConfigError> {
    Ok(read("AKKERISD_TOKEN", "a token")?.map(Secret::new))
}

/// Which push git runs this process for; `None` when it was not git of the daemon.
pub fn pushed() -> Result<Option<PushVariables>, ConfigError> {
    let expected = "set by the daemon for git only";
    let (socket, key) = PUSH_VARIABLES;
    let (Some(socket), Some(key)) = (read(socket, expected)?, read(key, expected)?) else { return Ok(None) };
    Ok(Some(PushVariables { socket, key, quarantine: read(QUARANTINE, "set by git")? }))
}

/// The step at which a test wants the daemon to die (`AKKERISD_ABORT_AT`).
#[cfg(feature = "failpoints")]
pub fn abort_at() -> Result<Option<crate::model::journal::JournalStep>, ConfigError> {
    const VARIABLE: &str = "AKKERISD_ABORT_AT";
    let expected = "a step of model::journal::JournalStep, like build-queued";
    let Some(value) = read(VARIABLE, expected)? else { return Ok(None) };
    let wrong = |_| ConfigError::Wrong {
        place: super::Place::Variable(VARIABLE),
        value: crate::model::rule::shown(&value),
        expected: expected.to_owned(),
    };
    value.parse().map(Some).map_err(wrong)
}

#[expect(clippy::disallowed_methods, reason = "this is the one reader of the environment")]
fn read(variable: &'static str, expected: &'static str) -> Result<Option<String>, ConfigError> {
    match std::env::var(variable) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(ConfigError::NotText { variable, expected }),
    }
}
