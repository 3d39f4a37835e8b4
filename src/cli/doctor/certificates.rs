//! Checks of certificates: what ends soon, what was not issued, what lies unusable in the operator's folder.

use super::Finding;
use super::state::{ask, listed};
use crate::certs::FolderReading;
use crate::certs::expiry::{Urgency, days_left};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::certificate::{Certificate, CertificateStatus};
use crate::model::time::Timestamp;
use crate::store;

/// Those that were ordered.
pub(super) fn ordered(config: &Config) -> Finding {
    let now = Clock::system().now();
    ask(config, |connection| Ok(judge_ordered(&store::certificates::list(connection)?, now)))
}

/// Those in the folder.
pub(super) fn in_folder(config: &Config) -> Finding {
    let (path, now) = (config.certs_dir(), Clock::system().now());
    match FolderReading::of(&path, now) {
        Ok(reading) => judge_folder(&reading, now),
        Err(error) => Finding::Broken(format!("{} cannot be read: {error}", path.display())),
    }
}

fn judge_ordered(all: &[Certificate], now: Timestamp) -> Finding {
    let installed = all.iter().filter(|one| one.is_installed());
    let ends = installed.clone().filter_map(|one| Some((one.name.as_str(), one.validity?.expires)));
    if let Some(finding) = ending(ends, now) {
        return finding;
    }
    let failing = all.iter().filter(|one| one.attempts > 0 || one.status == CertificateStatus::Rejected);
    let failing: Vec<String> =
        failing.map(|one| format!("{} ({}: {})", one.name, one.status, one.reason)).collect();
    match listed(&failing) {
        Some(failing) => Finding::Doubtful(format!("not issued: {failing}")),
        None => Finding::Fine(format!("{} installed, none ends soon", installed.count())),
    }
}

fn judge_folder(reading: &FolderReading, now: Timestamp) -> Finding {
    let bad: Vec<String> = reading.bad.values().map(ToString::to_string).collect();
    if let Some(bad) = listed(&bad) {
        return Finding::Broken(format!("not shown: {bad}"));
    }
    let ends = reading.good.iter().map(|(name, chain)| (name.as_str(), chain.validity().expires));
    let fine = || Finding::Fine(format!("{} shown, none ends soon", reading.good.len()));
    ending(ends, now).unwrap_or_else(fine)
}

/// What ends soon; broken when it is a matter of days.
fn ending<'n>(ends: impl Iterator<Item = (&'n str, Timestamp)>, now: Timestamp) -> Option<Finding> {
    let mut ending: Vec<(Urgency, String)> = Vec::new();
    for (name, expires) in ends {
        if let Some(urgency) = Urgency::of(expires, now) {
            ending.push((urgency, format!("{name} (in {} days)", days_left(expires, now))));
        }
    }
    ending.sort_by(|a, b| b.cmp(a));
    let most_urgent = ending.first()?.0;
    let names: Vec<String> = ending.into_iter().map(|(_, text)| text).collect();
    let text = format!("ending: {}; see why they are not renewed, or put newer ones there", listed(&names)?);
    Some(if most_urgent == Urgency::Now { Finding::Broken(text) } else { Finding::Doubtful(text) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn the_most_urgent_end_comes_first_and_decides() {
        let now = Timestamp::from_millis(0);
        let at = |days: u32| now.plus(DAY * days);
        assert_eq!(ending([("a", at(30))].into_iter(), now), None);
        let soon = ending([("a", at(30)), ("b", at(20))].into_iter(), now);
        assert!(matches!(soon, Some(Finding::Doubtful(text)) if text.starts_with("ending: b (in 20 days);")));
        let over = ending([("b", at(20)), ("c", at(2))].into_iter(), now);
        assert!(
            matches!(over, Some(Finding::Broken(text)) if text.starts_with("ending: c (in 2 days), b (in 20 days);"))
        );
    }

    #[test]
    fn a_folder_without_files_is_fine() {
        let reading = FolderReading::default();
        assert_eq!(
            judge_folder(&reading, Timestamp::from_millis(0)),
            Finding::Fine("0 shown, none ends soon".to_owned())
        );
        assert_eq!(
            judge_ordered(&[], Timestamp::from_millis(0)),
            Finding::Fine("0 installed, none ends soon".to_owned())
        );
    }
}
