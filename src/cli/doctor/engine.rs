//! The checks of the Docker Engine and of what is ours in it.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::state::{self, listed};
use super::{Finding, wait};
use crate::config::Config;
use crate::engine::docker::{BuildCache, DockerEngine, EngineFeatures};
use crate::engine::{ContainerEngine, EngineError, EngineInfo, ObservedContainer, ObservedNetwork};
use crate::model::ids::{AppId, InstallationId, SpaceId};
use crate::store::{self, Connection, StoreError};

/// The oldest engine that is supported.
const OLDEST: (u32, u32) = (20, 10);
/// Beyond this, what builds left deserves a look.
const MUCH_CACHE: u64 = 20 << 30;

pub(super) fn docker(config: &Config) -> Finding {
    // Nothing of ours is asked for, so it does not matter for which installation.
    match ask(config, Uuid::nil(), async |engine| engine.info().await) {
        Ok(info) => judge_version(&info),
        Err(error) => Finding::Broken(format!(
            "{} does not answer ({error}); start Docker, join the group docker, or name another with --docker-host",
            config.docker.host
        )),
    }
}

pub(super) fn features(config: &Config) -> Finding {
    match ask(config, Uuid::nil(), async |engine| engine.features().await) {
        Ok(features) => judge_features(&features),
        Err(error) => unanswered(&error),
    }
}

/// Containers and networks of ours whose app or space is gone.
pub(super) fn leftovers(config: &Config) -> Finding {
    with_ours(config, |connection, installation| {
        let apps = store::apps::list(connection)?.into_iter().map(|app| app.id).collect();
        let spaces = store::spaces::list(connection)?.into_iter().map(|(space, _)| space.id).collect();
        let found = ask(config, installation, async |engine| {
            Ok((engine.list(None).await?, engine.list_networks().await?))
        });
        Ok(match found {
            Ok((containers, networks)) => judge_leftovers(&containers, &networks, &apps, &spaces),
            Err(error) => unanswered(&error),
        })
    })
}

pub(super) fn build_cache(config: &Config) -> Finding {
    with_ours(config, |_, installation| {
        Ok(match ask(config, installation, async |engine| engine.build_cache().await) {
            Ok(cache) => judge_cache(cache),
            Err(error) => unanswered(&error),
        })
    })
}

/// Judges what carries this installation's label.
fn with_ours(
    config: &Config,
    judge: impl FnOnce(&Connection, Uuid) -> Result<Finding, StoreError>,
) -> Finding {
    state::ask(config, |connection| match store::installation::find(connection)? {
        Some(installation) => judge(connection, installation.uuid()),
        None => {
            Ok(Finding::Doubtful("not known before the first start, which names the installation".to_owned()))
        }
    })
}

/// Asks the engine something; the error is a text for people.
fn ask<T>(
    config: &Config,
    installation: Uuid,
    question: impl AsyncFnOnce(DockerEngine) -> Result<T, EngineError>,
) -> Result<T, String> {
    wait(async {
        question(DockerEngine::connect(Some(&config.docker.host), InstallationId::new(installation)).await?)
            .await
    })
}

fn unanswered(error: &str) -> Finding {
    Finding::Doubtful(format!("not known: the engine does not tell ({error})"))
}

fn judge_version(info: &EngineInfo) -> Finding {
    let text =
        format!("version {}, API {}, {} MiB of memory", info.version, info.api_version, info.memory >> 20);
    let mut numbers = info.version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < OLDEST => Finding::Broken(format!(
            "{text}: older than {}.{}; install a newer Docker Engine",
            OLDEST.0, OLDEST.1
        )),
        _ => Finding::Fine(text),
    }
}

fn judge_features(features: &EngineFeatures) -> Finding {
    if !features.local_logs {
        return Finding::Broken(
            "no log driver \"local\", so no dyno can be made; install a Docker Engine that has it".to_owned(),
        );
    }
    let Some(cgroups) = features.cgroup_version else {
        return Finding::Broken(
            "no cgroups, so no dyno can be limited; mount them (cgroup2 at /sys/fs/cgroup) and restart Docker".to_owned(),
        );
    };
    let text = format!("storage {}, cgroup v{cgroups}, bounded logs", features.storage_driver);
    if !features.unlimited.is_empty() {
        Finding::Doubtful(format!(
            "{text}; the kernel does not limit {} of dynos: boot it with cgroup_enable=memory swapaccount=1",
            features.unlimited.join(" and ")
        ))
    } else if features.storage_driver == "vfs" {
        Finding::Doubtful(format!(
            "{text}; vfs copies every layer: configure overlay2 in /etc/docker/daemon.json"
        ))
    } else {
        Finding::Fine(text)
    }
}

fn judge_leftovers(
    containers: &[ObservedContainer],
    networks: &[ObservedNetwork],
    apps: &BTreeSet<AppId>,
    spaces: &BTreeSet<SpaceId>,
) -> Finding {
    let orphans = containers.iter().filter(|container| !apps.contains(&container.app));
    let orphans: Vec<String> =
        orphans.map(|container| format!("the container of the dyno {}", container.dyno)).collect();
    let empty = networks.iter().filter(|network| !spaces.contains(&network.space));
    let empty = empty.map(|network| format!("the network {}", network.name.as_str()));
    let left: Vec<String> = orphans.into_iter().chain(empty).collect();
    match listed(&left) {
        None => Finding::Fine(format!(
            "none; {} containers and {} networks are in use",
            containers.len(),
            networks.len()
        )),
        Some(left) => Finding::Doubtful(format!(
            "{left}: of apps or spaces that are gone; a running daemon takes containers away within a minute, remove the rest with docker rm -f and docker network rm"
        )),
    }
}

fn judge_cache(cache: BuildCache) -> Finding {
    let text = format!("{} nameless images of at most {} MiB", cache.images, cache.bytes >> 20);
    if cache.bytes > MUCH_CACHE {
        Finding::Doubtful(format!(
            "{text}; they go a day after their build, or at once with docker image prune"
        ))
    } else {
        Finding::Fine(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ContainerId, ContainerState, NetworkName};
    use crate::model::ids::{ReleaseId, deterministic};
    use crate::model::names::{DynoName, ProcessType};
    use crate::model::time::Timestamp;

    #[test]
    fn an_old_engine_is_refused() {
        let version = |text: &str| {
            judge_version(&EngineInfo { version: text.to_owned(), api_version: "1.41".to_owned(), memory: 0 })
        };
        for new in ["20.10.24+dfsg1", "28.3.0", "dev"] {
            assert!(matches!(version(new), Finding::Fine(_)), "{new}");
        }
        assert!(matches!(version("19.03.15"), Finding::Broken(text) if text.contains("19.03.15")));
    }

    #[test]
    fn each_missing_feature_of_the_engine_is_named() {
        let whole = EngineFeatures {
            storage_driver: "overlay2".to_owned(),
            cgroup_version: Some(1),
            unlimited: Vec::new(),
            local_logs: true,
        };
        assert!(matches!(judge_features(&whole), Finding::Fine(_)));
        let without = EngineFeatures { unlimited: vec!["swap"], ..whole.clone() };
        assert!(
            matches!(judge_features(&without), Finding::Doubtful(text) if text.contains("limit swap of"))
        );
        let slow = EngineFeatures { storage_driver: "vfs".to_owned(), ..whole.clone() };
        assert!(matches!(judge_features(&slow), Finding::Doubtful(text) if text.contains("overlay2")));
        let unbounded = EngineFeatures { local_logs: false, ..whole.clone() };
        assert!(matches!(judge_features(&unbounded), Finding::Broken(text) if text.contains("local")));
        let unlimited = EngineFeatures { cgroup_version: None, ..whole };
        assert!(matches!(judge_features(&unlimited), Finding::Broken(text) if text.contains("cgroup2")));
    }

    #[test]
    fn what_belongs_to_no_app_or_space_is_left_over() {
        let (app, space) = (AppId::new(deterministic("app")), SpaceId::new(deterministic("space")));
        let container = ObservedContainer {
            id: ContainerId::new("c"),
            app,
            process_type: ProcessType::web(),
            dyno: DynoName::new("0123456789", "abcde"),
            release: ReleaseId::new(deterministic("release")),
            fingerprint: String::new(),
            terminal: crate::model::oneoff::Terminal::Detached,
            created_at: Timestamp::from_millis(0),
            state: ContainerState::Created,
        };
        let network = ObservedNetwork { name: NetworkName::new("n1"), space };
        let judged = |apps: &[AppId], spaces: &[SpaceId]| {
            let (apps, spaces) = (apps.iter().copied().collect(), spaces.iter().copied().collect());
            judge_leftovers(std::slice::from_ref(&container), std::slice::from_ref(&network), &apps, &spaces)
        };
        assert!(matches!(judged(&[app], &[space]), Finding::Fine(_)));
        assert!(
            matches!(judged(&[], &[space]), Finding::Doubtful(text) if text.contains("0123456789-abcde"))
        );
        assert!(matches!(judged(&[app], &[]), Finding::Doubtful(text) if text.contains("the network n1")));
    }

    #[test]
    fn a_large_build_cache_is_worth_a_look() {
        let of = |bytes| judge_cache(BuildCache { images: 2, bytes });
        assert!(matches!(of(MUCH_CACHE), Finding::Fine(_)));
        assert!(matches!(of(MUCH_CACHE + 1), Finding::Doubtful(text) if text.contains("20480 MiB")));
    }
}
