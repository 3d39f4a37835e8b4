//! Each space is a network: apps of one reach each other by name, apps of another do not.

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
