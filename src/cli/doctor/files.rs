//! Checks of the data dir and what lies in it.

use std::cmp::Ordering;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use x509_parser::pem::Pem;

use super::Finding;
use crate::clock::Clock;
use crate::config::{Config, DATA_DIR_MODE};
use crate::model::catalogue::Catalogue;
use crate::store::{self, Schema};

const GIB: u64 = 1 << 30;
/// Below this, a build of a usual image may fail.
const LITTLE_SPACE: u64 = 5 * GIB;
/// Below this, the database may not be writable for long.
const NO_SPACE: u64 = GIB / 4;
/// Clients need time to take over a new authority.
const SOON_DAYS: i64 = 30;

pub(super) fn data_dir(config: &Config) -> Finding {
    let path = config.data_dir.display();
    let metadata = match std::fs::metadata(&config.data_dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Finding::Doubtful(format!(
                "{path} is not there yet; the first start makes it (or name another with --data-dir)"
            ));
        }
        Err(error) => {
            return Finding::Broken(format!("{path} cannot be read ({error}); run as the daemon's user"));
        }
    };
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_dir() {
        Finding::Broken(format!("{path} is no folder; name another with --data-dir"))
    } else if mode != DATA_DIR_MODE {
        Finding::Broken(format!("{path} has mode {mode:o}: others may read keys; run chmod 700 {path}"))
    } else {
        Finding::Fine(format!("{path}, closed to other users"))
    }
}

pub(super) fn disk_space(config: &Config) -> Finding {
    let there = config.data_dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Err(error) => {
            Finding::Doubtful(format!("the free space of {} is not known ({error})", there.display()))
        }
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let text = format!("{} MiB free at {}", free >> 20, there.display());
            match free {
                ..NO_SPACE => Finding::Broken(format!("{text}; free some, or move the data dir")),
                NO_SPACE..LITTLE_SPACE => {
                    Finding::Doubtful(format!("{text}; builds may fail for lack of space"))
                }
                LITTLE_SPACE.. => Finding::Fine(text),
            }
        }
    }
}

pub(super) fn database(config: &Config) -> Finding {
    let path = config.database_path();
    if !path.exists() {
        return Finding::Doubtful(format!("{} is not there yet; the first start makes it", path.display()));
    }
    match store::quick_check(&path) {
        Ok(answer) if answer == "ok" => whole_database(&path),
        Ok(damage) => {
            Finding::Broken(format!("damaged ({damage}); stop the daemon and restore a copy of the data dir"))
        }
        Err(error) => Finding::Broken(format!("{} cannot be checked: {error}", path.display())),
    }
}

/// A database without damage is of this program's schema, or the next start brings it there.
fn whole_database(path: &Path) -> Finding {
    match store::inspect(path).and_then(|connection| store::schema(&connection)) {
        Ok(schema) => judge_schema(schema),
        Err(error) => Finding::Broken(format!("{} cannot be read: {error}", path.display())),
    }
}

fn judge_schema(Schema { found, known }: Schema) -> Finding {
    match found.cmp(&known) {
        Ordering::Equal => Finding::Fine(format!("whole, schema {found}")),
        Ordering::Less => Finding::Doubtful(format!(
            "whole, but of schema {found} where this akkerisd has {known}; its next start migrates it and keeps a copy"
        )),
        Ordering::Greater => Finding::Broken(format!(
            "whole, but of schema {found} and this akkerisd knows {known} only; install the newer one"
        )),
    }
}

pub(super) fn certificate_authority(config: &Config) -> Finding {
    let path = config.ca_certificate_path();
    let path_text = path.display();
    match std::fs::read(&path) {
        Ok(pem) => judge_authority(&pem, Clock::system().now().as_millis() / 1000).unwrap_or_else(|| {
            Finding::Broken(format!("{path_text} holds no certificate; restore it from a copy"))
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Finding::Doubtful(format!("{path_text} is not there yet; the first start makes it"))
        }
        Err(error) => Finding::Broken(format!("{path_text} cannot be read: {error}")),
    }
}

pub(super) fn catalogue(config: &Config) -> Finding {
    let path = config.data_dir.join("catalogue.toml");
    let path_text = path.display();
    match std::fs::read_to_string(&path) {
        Ok(text) => match Catalogue::parse(&text) {
            Ok(catalogue) => Finding::Fine(format!("{} sizes", catalogue.sizes.len())),
            Err(error) => Finding::Broken(format!("{path_text} is not valid: {error}")),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Finding::Doubtful(format!("{path_text} is not there yet; the first start makes it"))
        }
        Err(error) => Finding::Broken(format!("{path_text} cannot be read: {error}")),
    }
}

/// `now` in seconds since 1970; `None` when there is no certificate in the text.
fn judge_authority(pem: &[u8], now: i64) -> Option<Finding> {
    const DAY: i64 = 24 * 60 * 60;
    let pem = Pem::iter_from_buffer(pem).next()?.ok()?;
    let certificate = pem.parse_x509().ok()?;
    let validity = certificate.validity();
    let days_left = (validity.not_after.timestamp() - now) / DAY;
    Some(if now < validity.not_before.timestamp() {
        Finding::Broken("not valid yet; set the clock of this machine".to_owned())
    } else if validity.not_after.timestamp() <= now {
        Finding::Broken("expired; remove it with its key, start the daemon, and trust the new one".to_owned())
    } else if days_left < SOON_DAYS {
        Finding::Doubtful(format!("valid for {days_left} more days only"))
    } else {
        Finding::Fine(format!("valid for {days_left} more days"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_another_version_is_told_from_ours() {
        let judged = |found| judge_schema(Schema { found, known: 3 });
        assert!(matches!(judged(3), Finding::Fine(_)));
        assert!(
            matches!(judged(2), Finding::Doubtful(text) if text.contains("schema 2 where this akkerisd has 3"))
        );
        assert!(matches!(judged(4), Finding::Broken(text) if text.contains("install the newer one")));
    }

    #[test]
    fn an_authority_is_judged_by_its_dates() {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        let at = |year, month, day| rcgen::date_time_ymd(year, month, day).unix_timestamp();
        let judged = |now| judge_authority(pem.as_bytes(), now);
        assert!(matches!(judged(at(2020, 6, 1)), Some(Finding::Fine(_))));
        assert!(matches!(judged(at(2020, 12, 20)), Some(Finding::Doubtful(_))));
        assert!(matches!(judged(at(2021, 1, 2)), Some(Finding::Broken(_))));
        assert!(matches!(judged(at(2019, 1, 1)), Some(Finding::Broken(_))));
        assert_eq!(judge_authority(b"nothing", 0), None);
    }
}
