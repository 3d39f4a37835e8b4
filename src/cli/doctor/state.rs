//! Checks of what the database says: what does not get on, and what the catalogue and the clock have to do with it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Finding;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::catalogue::Catalogue;
use crate::model::dyno::{Dyno, DynoState};
use crate::model::ids::AppId;
use crate::model::log::LogOwner;
use crate::model::names::SizeName;
use crate::model::time::Timestamp;
use crate::store::{self, Connection, StoreError};

/// A release is given up after ten minutes, so one that waits longer is not being looked at.
const OVERDUE_RELEASE: Duration = Duration::from_mins(11);
/// Beyond the time that the configuration gives a build.
const BUILD_MARGIN: Duration = Duration::from_mins(1);
/// Ends of a dyno by itself that may be chance.
const FEW_RESTARTS: u32 = 3;
/// Names in one line.
const SHOWN: usize = 5;

/// Judges by the database; says why when it cannot be asked.
pub(super) fn ask(
    config: &Config,
    judge: impl FnOnce(&Connection) -> Result<Finding, StoreError>,
) -> Finding {
    let path = config.database_path();
    if !path.exists() {
        return Finding::Doubtful("not known before the first start, which makes the database".to_owned());
    }
    let judged = store::inspect(&path).and_then(|connection| {
        let schema = store::schema(&connection)?;
        if schema.found == schema.known { judge(&connection) } else { Ok(not_this_schema()) }
    });
    judged.unwrap_or_else(|error| {
        Finding::Broken(format!("not known: {} cannot be read: {error}", path.display()))
    })
}

/// Sizes that formations use and the operator took out of the catalogue.
pub(super) fn sizes(config: &Config) -> Finding {
    let path = config.data_dir.join("catalogue.toml");
    let Some(catalogue) = std::fs::read_to_string(&path).ok().and_then(|text| Catalogue::parse(&text).ok())
    else {
        return Finding::Doubtful("not known without a valid catalogue".to_owned());
    };
    ask(config, |connection| Ok(judge_sizes(&store::formations::sizes_in_use(connection)?, &catalogue)))
}

/// Events are written in the order of time, so the newest is not in the future.
pub(super) fn clock(config: &Config) -> Finding {
    let now = Clock::system().now();
    ask(config, |connection| Ok(judge_clock(store::events::newest_at(connection)?, now)))
}

pub(super) fn releases(config: &Config) -> Finding {
    let now = Clock::system().now();
    ask(config, |connection| {
        let mut overdue = Vec::new();
        for release in store::releases::list_unfinished_of_live_apps(connection)? {
            if now.since(release.created_at) > OVERDUE_RELEASE {
                overdue.push(format!("v{} of {}", release.version, key(connection, release.app_id)?));
            }
        }
        Ok(match listed(&overdue) {
            None => Finding::Fine("none is overdue".to_owned()),
            Some(overdue) => Finding::Doubtful(format!(
                "{overdue} neither succeeded nor failed in {} minutes; see that the daemon runs and its log tells of no engine error",
                OVERDUE_RELEASE.as_secs() / 60
            )),
        })
    })
}

pub(super) fn builds(config: &Config) -> Finding {
    let (now, limit) = (Clock::system().now(), config.builds.timeout + BUILD_MARGIN);
    ask(config, |connection| {
        let mut overdue = Vec::new();
        for (app, number, since) in store::builds::list_running(connection)? {
            if now.since(since) > limit {
                overdue.push(format!("{number} of {}", key(connection, app)?));
            }
        }
        Ok(match listed(&overdue) {
            None => Finding::Fine("none is overdue".to_owned()),
            Some(overdue) => Finding::Doubtful(format!(
                "{overdue} ran for more than {} s (builds.timeout and a minute); see that the daemon runs, its next start fails them",
                limit.as_secs()
            )),
        })
    })
}

/// Volumes of addons that have nearly as much as their plans allow.
pub(super) fn addon_volumes(config: &Config) -> Finding {
    ask(config, |connection| {
        let mut full = Vec::new();
        for volume in store::addon_volumes::list(connection)?.iter().filter(|volume| volume.is_nearly_full())
        {
            if let Some(addon) = store::addons::find(connection, volume.addon)? {
                full.push(format!("{} ({} %)", addon.name, volume.percent().unwrap_or_default()));
            }
        }
        Ok(match listed(&full) {
            None => Finding::Fine("none is nearly full".to_owned()),
            Some(full) => Finding::Doubtful(format!(
                "{full} of the data that the plans allow; delete some, or take larger plans, for nothing stops the growth"
            )),
        })
    })
}

pub(super) fn dynos(config: &Config) -> Finding {
    ask(config, |connection| {
        let dynos = store::dynos::list_of_live_apps(connection)?;
        let mut ailing = Vec::new();
        for dyno in dynos.iter().filter(|dyno| is_ailing(dyno)) {
            ailing.push(format!(
                "{}.{} of {} ({}, {} restarts)",
                dyno.process_type,
                dyno.name,
                key(connection, dyno.app_id)?,
                dyno.state.as_str(),
                dyno.restarts
            ));
        }
        Ok(match listed(&ailing) {
            None => Finding::Fine(format!("{} dynos, none ends again and again", dynos.len())),
            Some(ailing) => Finding::Doubtful(format!(
                "{ailing} cannot keep running; read why in GET /apps/<app>/dynos, then repair the app or roll it back"
            )),
        })
    })
}

pub(super) fn log_drains(config: &Config) -> Finding {
    ask(config, |connection| {
        let (all, failing) = store::log_drains::list_failing(connection)?;
        let mut named = Vec::new();
        for (owner, why) in failing {
            let of = match owner {
                LogOwner::App(app) => key(connection, app)?,
                LogOwner::Site(site) => store::sites::find(connection, site)?
                    .map_or_else(|| site.to_string(), |site| site.domain.to_string()),
            };
            named.push(format!("one of {of} ({why})"));
        }
        Ok(match listed(&named) {
            None => Finding::Fine(format!("{all}, none fails")),
            Some(named) => Finding::Doubtful(format!(
                "{named} does not get its lines through; see that its server runs, or remove it with DELETE /apps/<app>/log-drains/<id> (or /sites/<site>/…)"
            )),
        })
    })
}

fn judge_sizes(used: &BTreeSet<SizeName>, catalogue: &Catalogue) -> Finding {
    let lost: Vec<String> =
        used.iter().filter(|size| catalogue.size(size.as_str()).is_none()).map(ToString::to_string).collect();
    match listed(&lost) {
        None => Finding::Fine(format!("{} in use, all in the catalogue", used.len())),
        Some(lost) => Finding::Doubtful(format!(
            "{lost} used by formations but not in catalogue.toml, so their dynos get the memory of {}; put them back or give the formations another size",
            catalogue.default_size
        )),
    }
}

fn judge_clock(newest: Option<Timestamp>, now: Timestamp) -> Finding {
    match newest {
        Some(newest) if newest > now => Finding::Broken(format!(
            "shows {now}, but the newest event is of {newest}; set the clock of this machine, else times and certificates are wrong"
        )),
        Some(_) | None => Finding::Fine(format!("shows {now}")),
    }
}

/// Whether a dyno ends again and again, or cannot be started.
fn is_ailing(dyno: &Dyno) -> bool {
    match dyno.state {
        DynoState::StartFailure | DynoState::AppCrashed | DynoState::ProbeFailure => true,
        DynoState::Waiting | DynoState::Pending | DynoState::Running => dyno.restarts > FEW_RESTARTS,
        DynoState::Stopping | DynoState::Stopped => false,
    }
}

fn not_this_schema() -> Finding {
    Finding::Doubtful("not known: the database has the schema of another version of akkerisd".to_owned())
}

fn key(connection: &Connection, app: AppId) -> Result<String, StoreError> {
    Ok(store::apps::find(connection, app)?.map_or_else(|| app.to_string(), |app| app.key().to_string()))
}

/// The first few of them; `None` when there are none.
pub(super) fn listed(all: &[String]) -> Option<String> {
    let shown = all.get(..SHOWN.min(all.len())).filter(|shown| !shown.is_empty())?.join(", ");
    Some(match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_left_the_catalogue_is_named() {
        let catalogue = Catalogue::parse(include_str!("../../../assets/catalogue.toml")).unwrap();
        let used = |names: &[&str]| {
            let names: BTreeSet<SizeName> =
                names.iter().map(|name| SizeName::from_stored((*name).to_owned())).collect();
            judge_sizes(&names, &catalogue)
        };
        assert!(matches!(used(&[catalogue.default_size.as_str()]), Finding::Fine(_)));
        let Finding::Doubtful(text) = used(&["gone"]) else { panic!("a lost size is not well") };
        assert!(text.starts_with("gone used by formations"), "{text}");
    }

    #[test]
    fn a_clock_behind_the_newest_event_is_broken() {
        let at = Timestamp::from_millis;
        assert!(matches!(judge_clock(None, at(5)), Finding::Fine(_)));
        assert!(matches!(judge_clock(Some(at(5)), at(5)), Finding::Fine(_)));
        assert!(matches!(judge_clock(Some(at(6)), at(5)), Finding::Broken(_)));
    }

    #[test]
    fn a_long_list_is_cut() {
        let names = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(listed(&names(0)), None);
        assert_eq!(listed(&names(2)).as_deref(), Some("0, 1"));
        assert_eq!(listed(&names(7)).as_deref(), Some("0, 1, 2, 3, 4 and 2 more"));
    }
}
