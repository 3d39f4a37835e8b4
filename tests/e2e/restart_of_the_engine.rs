//! `dockerd` dies and comes back: every app serves again, addons have their data, and what was acknowledged meanwhile is
//! carried out.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::archive::Source;
use crate::support::client::all_ready;
use crate::support::daemon::Daemon;
use crate::support::engine::{self, Engine};
use crate::support::services::{self, POSTGRES, REDIS};
use crate::support::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_engine_comes_back_and_every_app_serves_again() {
    let name = "restart_of_the_engine::a_killed_engine_comes_back_and_every_app_serves_again";
    if engine::told_in_a_network_of_its_own(name) {
        return;
    }
    let mut engine = Engine::start().await;
    let host = engine.host();
    let daemon = Daemon::start_with(&[("DOCKER_HOST", &host)]).await;
    let client = daemon.client();
    let apps = [client.create_app("first", "default").await, client.create_app("second", "default").await];
    for app in &apps {
        client.deploy(app, &Source::version(app)).await;
    }
    engine.kill_9();
    let description = json!({"description": "acknowledged while the engine was gone"});
    client.send("PATCH", &format!("/apps/{}", apps[0]), Some(description.clone()), 200).await;
    client.scale(&apps[1], "web", 2).await;
    engine.spawn().await;
    let began = Instant::now();
    for app in &apps {
        daemon.wait_for_answer(app, "/", app).await;
    }
    eprintln!("every app answered {:?} after the engine did", began.elapsed());
    client.wait_for_dynos(&apps[0], "one dyno serves", all_ready(1)).await;
    client.wait_for_dynos(&apps[1], "the scaling was carried out", all_ready(2)).await;
    assert_eq!(client.get(&format!("/apps/{}", apps[0])).await["description"], description["description"]);
    wait_until("no orphan is left", Duration::from_secs(30), || async {
        let (containers, networks) = (daemon.containers(), daemon.networks());
        if containers.len() == 3 && networks.len() == 1 {
            Ok(())
        } else {
            Err(format!("{containers:?} {networks:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addons_come_back_with_their_data_when_the_engine_was_killed() {
    let name = "restart_of_the_engine::addons_come_back_with_their_data_when_the_engine_was_killed";
    if engine::told_in_a_network_of_its_own(name) {
        return;
    }
    let catalogue = services::catalogue();
    let mut engine = Engine::start().await;
    engine.give(&[POSTGRES, REDIS]);
    let host = engine.host();
    let mut daemon = Daemon::start_prepared(&[("DOCKER_HOST", &host)], |data| {
        std::fs::write(data.join("catalogue.toml"), catalogue).unwrap();
    })
    .await;
    let client = daemon.client();
    let app = services::deploy(&client, "keeper", "default").await;
    services::add(&client, &app, "alamo-postgresql:hobby").await;
    services::add(&client, &app, "alamo-redis").await;
    let write = "query?create+table+t(v+text);insert+into+t+values('one')+returning+v";
    services::hears(&daemon, &app, write, "one").await;
    services::hears(&daemon, &app, "redis?incr+count", "1").await;
    services::hears(&daemon, &app, "redis?save", "OK").await;
    engine.kill_9();
    daemon.kill_9();
    engine.spawn().await;
    daemon.spawn(&[]);
    daemon.wait_for_api().await;
    services::hears(&daemon, &app, "query?select+v+from+t", "one").await;
    services::hears(&daemon, &app, "redis?get+count", "1").await;
}
