//! Each space is a network: apps of one reach each other by name, apps of another do not.

use akkerisd::engine::ContainerEngine;
use akkerisd::engine::docker::DockerEngine;
use akkerisd::model::ids::{InstallationId, SpaceId};
use akkerisd::model::names::SpaceName;
use futures_util::future::join_all;
use uuid::Uuid;

use crate::support::archive::Source;
use crate::support::daemon::Daemon;
use crate::support::docker::docker;

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_reaches_its_own_space_by_name_and_no_other() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    client.create_space("other").await;
    let asking = client.create_app("asking", "default").await;
    let near = client.create_app("near", "default").await;
    let far = client.create_app("far", "other").await;
    for app in [&asking, &near, &far] {
        client.deploy(app, &Source::version("one")).await;
    }
    assert_eq!(daemon.fetch(&asking, "/connect?near:9000").await.unwrap().1, "reached");
    assert_eq!(daemon.fetch(&asking, "/connect?near-default:9000").await.unwrap().1, "reached");
    let unknown = daemon.fetch(&asking, "/connect?far:9000").await.unwrap().1;
    assert!(unknown.starts_with("unknown"), "{unknown}");
    for container in daemon.containers() {
        let format = "{{index .Config.Labels \"akkeris.key\"}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let inspected = docker(&["inspect", "-f", format, &container]);
        let (key, address) = inspected.split_once(' ').unwrap();
        if key == far {
            let direct = daemon.fetch(&asking, &format!("/connect?{address}:9000")).await.unwrap().1;
            assert_eq!(direct, "refused", "{address} of another space was reached");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dynos_that_are_launched_at_once_in_a_new_space_share_one_network() {
    let installation = InstallationId::new(Uuid::new_v4());
    let engine = DockerEngine::connect(None, installation).await.unwrap();
    let name = SpaceName::parse("fresh").unwrap();
    for _ in 0..5 {
        let space = SpaceId::new(Uuid::new_v4());
        let networks = join_all((0..8).map(|_| engine.ensure_network(space, &name))).await;
        let networks: Vec<_> = networks.into_iter().map(Result::unwrap).collect();
        let made = engine.list_networks().await.unwrap();
        for network in &made {
            engine.remove_network(&network.name).await.unwrap();
        }
        assert_eq!(made.len(), 1, "two networks of one name let no container start");
        assert!(networks.iter().all(|network| *network == made[0].name), "{networks:?}");
    }
}
