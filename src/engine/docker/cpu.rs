//! How much of the CPUs a container may have, as a quota of microseconds in each period.

use bollard::Docker;
use bollard::models::{ContainerUpdateBody, HostConfig};
use bollard::query_parameters::InspectContainerOptions;

use super::{ASK_LIMIT, found, outcome};
use crate::engine::{ContainerId, CpuLimit, EngineError, Outcome};

/// Also what the kernel takes when nobody says otherwise.
const PERIOD: i64 = 100_000;
/// The kernel's shortest.
const SHORTEST_QUOTA: i64 = 1_000;
/// A zero would leave the quota as it is; this is "none" for both versions of the control groups.
const NO_QUOTA: i64 = -1;

pub(super) async fn limit(
    docker: &Docker,
    id: &ContainerId,
    limit: Option<CpuLimit>,
) -> Result<Outcome, EngineError> {
    let (quota, period) = limit.map_or((NO_QUOTA, PERIOD), microseconds);
    let body = ContainerUpdateBody {
        cpu_quota: Some(quota),
        cpu_period: Some(period),
        ..ContainerUpdateBody::default()
    };
    let updated = outcome(ASK_LIMIT, &[404], docker.update_container(id.as_str(), body)).await;
    match updated {
        Err(EngineError::Refused(reason)) if reason.contains("marked for removal") => Ok(Outcome::Nothing),
        Ok(Outcome::Done) if limit.is_some() => confirm(docker, id).await,
        Ok(_) | Err(_) => updated,
    }
}

pub(super) async fn limit_of(docker: &Docker, id: &ContainerId) -> Result<Option<CpuLimit>, EngineError> {
    Ok(host_config(docker, id).await?.as_ref().and_then(limit_in))
}

/// Where the kernel cannot limit CPU, or a rootless engine may not, the engine leaves a quota out and calls it done.
async fn confirm(docker: &Docker, id: &ContainerId) -> Result<Outcome, EngineError> {
    let Some(host_config) = host_config(docker, id).await? else { return Ok(Outcome::Nothing) };
    if limit_in(&host_config).is_none() {
        return Err(EngineError::Refused("the engine cannot limit the CPU of its containers".to_owned()));
    }
    Ok(Outcome::Done)
}

/// `None` when the container is gone.
async fn host_config(docker: &Docker, id: &ContainerId) -> Result<Option<HostConfig>, EngineError> {
    let inspection = docker.inspect_container(id.as_str(), None::<InspectContainerOptions>);
    Ok(found(ASK_LIMIT, inspection).await?.map(|container| container.host_config.unwrap_or_default()))
}

fn limit_in(host_config: &HostConfig) -> Option<CpuLimit> {
    let quota = host_config.cpu_quota.filter(|quota| *quota > 0)?;
    let period = host_config.cpu_period.filter(|period| *period > 0).unwrap_or(PERIOD);
    #[expect(clippy::cast_precision_loss, reason = "no period is longer than a second")]
    Some(CpuLimit::of_cores(quota as f64 / period as f64))
}

/// The quota and the period of a limit.
#[expect(clippy::cast_possible_truncation, reason = "casts from floats keep within the bounds")]
fn microseconds(limit: CpuLimit) -> (i64, i64) {
    #[expect(clippy::cast_precision_loss, reason = "both are small")]
    let (period, shortest) = (PERIOD as f64, SHORTEST_QUOTA as f64);
    let quota = (limit.cores() * period).round();
    if quota >= shortest {
        return (quota as i64, PERIOD);
    }
    (SHORTEST_QUOTA, (shortest / limit.cores()).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_quota_of_a_usual_period_or_the_shortest_of_a_longer_one() {
        for (cores, quota, period) in [
            (2.0, 200_000, 100_000),
            (0.5, 50_000, 100_000),
            (0.01, 1_000, 100_000),
            (0.005, 1_000, 200_000),
            (0.001, 1_000, 1_000_000),
            (0.0, 1_000, 1_000_000),
        ] {
            assert_eq!(microseconds(CpuLimit::of_cores(cores)), (quota, period), "{cores}");
        }
    }

    #[test]
    fn what_was_set_is_read_back_and_no_quota_is_no_limit() {
        let read = |quota, period| {
            limit_in(&HostConfig { cpu_quota: quota, cpu_period: period, ..HostConfig::default() })
        };
        for cores in [0.001, 0.008, 0.01, 0.25, 3.0] {
            let (quota, period) = microseconds(CpuLimit::of_cores(cores));
            assert_eq!(read(Some(quota), Some(period)), Some(CpuLimit::of_cores(cores)));
        }
        assert_eq!(read(Some(50_000), Some(0)), Some(CpuLimit::of_cores(0.5)));
        for none in [(None, None), (Some(0), Some(0)), (Some(NO_QUOTA), Some(PERIOD))] {
            assert_eq!(read(none.0, none.1), None);
        }
    }
}
