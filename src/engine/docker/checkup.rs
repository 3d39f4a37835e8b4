//! What an operator should know of the engine, for `doctor`.

use std::collections::HashMap;

use bollard::models::SystemInfoCgroupVersionEnum;
use bollard::query_parameters::ListImagesOptionsBuilder;

use super::{ASK_LIMIT, DockerEngine, bounded};
use crate::engine::EngineError;

/// What the engine offers to dynos; what it does not tell of is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFeatures {
    /// How layers are stored (`overlay2`).
    pub storage_driver: String,
    /// 1 or 2.
    pub cgroup_version: Option<u8>,
    /// What the kernel cannot limit for a container: `memory`, `swap`, `processes`.
    pub unlimited: Vec<&'static str>,
    /// Whether there is the log driver `local`, which every dyno is made with, bounded in size.
    pub local_logs: bool,
}

/// The images without a name that this installation's builds left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildCache {
    pub images: usize,
    /// Bytes; layers that images share count in each of them.
    pub bytes: u64,
}

impl DockerEngine {
    /// Asks what the engine offers.
    pub async fn features(&self) -> Result<EngineFeatures, EngineError> {
        let info = bounded(ASK_LIMIT, self.docker.info()).await?;
        let log_drivers = info.plugins.and_then(|plugins| plugins.log).unwrap_or_default();
        let limits =
            [("memory", info.memory_limit), ("swap", info.swap_limit), ("processes", info.pids_limit)];
        Ok(EngineFeatures {
            storage_driver: info.driver.unwrap_or_default(),
            cgroup_version: match info.cgroup_version {
                Some(SystemInfoCgroupVersionEnum::_1) => Some(1),
                Some(SystemInfoCgroupVersionEnum::_2) => Some(2),
                Some(SystemInfoCgroupVersionEnum::EMPTY) | None => None,
            },
            unlimited: limits
                .into_iter()
                .filter(|(_, can)| *can != Some(true))
                .map(|(what, _)| what)
                .collect(),
            local_logs: log_drivers.iter().any(|driver| driver == "local"),
        })
    }

    /// Asks what builds left.
    pub async fn build_cache(&self) -> Result<BuildCache, EngineError> {
        let filters = HashMap::from([
            ("dangling".to_owned(), vec!["true".to_owned()]),
            ("label".to_owned(), vec![self.labels.image_label()]),
        ]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let images = bounded(ASK_LIMIT, self.docker.list_images(Some(options))).await?;
        let bytes = images.iter().filter_map(|image| u64::try_from(image.size).ok()).sum();
        Ok(BuildCache { images: images.len(), bytes })
    }
}
