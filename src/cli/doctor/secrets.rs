//! Checks of the files that only the daemon's user may read.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Finding;
use super::state;
use crate::config::Config;
use crate::seal::Sealer;
use crate::store;

/// What group and others may do.
const OTHERS: u32 = 0o077;

/// The key is there, closed to others, and opens what the database holds.
pub(super) fn secret_key(config: &Config) -> Finding {
    let path = config.seal_key_path();
    match closed_to_others(&path) {
        Privacy::Closed => {}
        // Opening would make a new key, which opens nothing that is stored.
        Privacy::Missing if config.database_path().exists() => {
            return Finding::Broken(format!(
                "{} is missing: no stored config var can be read; put it back from a copy of the data dir before the next start",
                path.display()
            ));
        }
        other @ (Privacy::Missing | Privacy::Open(_) | Privacy::Unreadable(_)) => {
            return other.finding(&path);
        }
    }
    let sealer = match Sealer::open(&path) {
        Ok(sealer) => sealer,
        Err(error) => return Finding::Broken(format!("{error}; put it back from a copy of the data dir")),
    };
    state::ask(config, |connection| {
        let Some(app) = store::config_vars::first_app(connection)? else {
            return Ok(Finding::Fine("well formed; nothing is sealed yet".to_owned()));
        };
        Ok(match store::config_vars::list(connection, &sealer, app) {
            Ok(vars) => Finding::Fine(format!("opens the {} config vars of an app", vars.len())),
            Err(error) => Finding::Broken(format!(
                "{} does not open the config vars of the app {app} ({error}); put back the key that belongs to this database",
                path.display()
            )),
        })
    })
}

/// The key of the certificate authority.
pub(super) fn authority_key(config: &Config) -> Finding {
    let path = config.ca_dir().join("ca.key");
    match closed_to_others(&path) {
        Privacy::Missing if config.ca_certificate_path().exists() => Finding::Broken(format!(
            "{} is missing beside its certificate; put it back from a copy, or remove ca.crt to have a new authority made",
            path.display()
        )),
        other @ (Privacy::Closed | Privacy::Missing | Privacy::Open(_) | Privacy::Unreadable(_)) => {
            other.finding(&path)
        }
    }
}

/// Not there is well too: it was given in the environment, or its keeper removed it.
pub(super) fn admin_token(config: &Config) -> Finding {
    let path = config.admin_token_path();
    match closed_to_others(&path) {
        Privacy::Missing => Finding::Fine("not in a file".to_owned()),
        other @ (Privacy::Closed | Privacy::Open(_) | Privacy::Unreadable(_)) => other.finding(&path),
    }
}

/// Who may read a file.
#[derive(Debug, PartialEq, Eq)]
enum Privacy {
    Closed,
    /// To others than its owner, with this mode.
    Open(u32),
    Missing,
    Unreadable(ErrorKind),
}

impl Privacy {
    fn finding(self, path: &Path) -> Finding {
        let path = path.display();
        match self {
            Self::Closed => Finding::Fine("closed to other users".to_owned()),
            Self::Open(mode) => Finding::Broken(format!(
                "{path} has mode {mode:o}: others may read it; run chmod 600 {path}, and replace the secret if they did"
            )),
            Self::Missing => Finding::Doubtful(format!("{path} is not there yet; the first start makes it")),
            Self::Unreadable(kind) => {
                Finding::Broken(format!("{path} cannot be read ({kind}); run as the daemon's user"))
            }
        }
    }
}

fn closed_to_others(path: &Path) -> Privacy {
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            if mode & OTHERS == 0 { Privacy::Closed } else { Privacy::Open(mode) }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Privacy::Missing,
        Err(error) => Privacy::Unreadable(error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_secret_that_others_may_read_is_told_from_a_closed_and_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert_eq!(closed_to_others(&path), Privacy::Missing);
        std::fs::write(&path, "x").unwrap();
        for (mode, judged) in
            [(0o600, Privacy::Closed), (0o400, Privacy::Closed), (0o640, Privacy::Open(0o640))]
        {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(closed_to_others(&path), judged);
        }
    }
}
