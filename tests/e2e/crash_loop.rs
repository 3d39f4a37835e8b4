//! Dynos that end by themselves: started again with growing pauses, never removed, never a busy loop.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::archive::Source;
use crate::support::client::all_ready;
use crate::support::daemon::Daemon;
use crate::support::docker::docker;
use crate::support::{pause, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_backs_off_and_stays_visible() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("looping", "default").await;
    let release = client.deploy(&app, &Source::version("x").order("exit_code", "9")).await;
    assert_eq!(release["status"], "failed", "{release}");
    let dynos = client
        .wait_for_dynos(&app, "the dyno crashed three times", |dynos| {
            dynos.iter().any(|dyno| dyno["restarts"].as_u64() >= Some(3) && dyno["state"] == "app-crashed")
        })
        .await;
    assert_eq!(dynos.len(), 1);
    assert!(dynos[0]["additional_info"].as_str().unwrap().contains("H10"), "{dynos:?}");
    let before = dynos[0]["restarts"].as_u64().unwrap();
    pause(Duration::from_secs(6)).await;
    let after = client.get(&format!("/apps/{app}/dynos")).await;
    let restarts = after[0]["restarts"].as_u64().unwrap() - before;
    assert!(restarts <= 2, "{restarts} restarts within six seconds are no back-off: {after}");
    assert_eq!(after[0]["name"], dynos[0]["name"], "the dyno is never removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_out_of_memory_is_reported_and_started_again() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("hungry", "default").await;
    client.deploy(&app, &Source::version("x").order("eat_memory", "1")).await;
    client
        .wait_for_dynos(&app, "the memory quota is reported", |dynos| {
            dynos.iter().any(|dyno| {
                dyno["restarts"].as_u64() >= Some(1)
                    && dyno["additional_info"].as_str().unwrap_or("").contains("R14")
            })
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let daemon = Daemon::start_with(&[("AKKERISD_DYNOS_STOP_GRACE", "1s")]).await;
    let client = daemon.client();
    let app = client.create_app("stubborn", "default").await;
    let command = json!({"type": "web", "quantity": 1, "command": "sh -c 'trap \"\" TERM; exec /dyno'"});
    client.send("POST", &format!("/apps/{app}/formation"), Some(command), 201).await;
    client.deploy(&app, &Source::version("one")).await;
    let before = client.wait_for_dynos(&app, "it runs", all_ready(1)).await;
    client.send("DELETE", &format!("/apps/{app}/dynos/web"), None, 202).await;
    wait_until("another dyno has taken its place", Duration::from_secs(20), || async {
        let dynos = client.get(&format!("/apps/{app}/dynos")).await;
        let alone = dynos.as_array().unwrap().len() == 1 && dynos[0]["ready"] == true;
        if alone && dynos[0]["name"] != before[0]["name"] { Ok(()) } else { Err(dynos.to_string()) }
    })
    .await;
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "one".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_the_app_s_fault_and_a_network_that_is_gone_is_not() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("nothing", "default").await;
    let command = json!({"type": "web", "quantity": 1, "command": "/no/such/program"});
    client.send("POST", &format!("/apps/{app}/formation"), Some(command), 201).await;
    client.deploy(&app, &Source::version("one")).await;
    let says = |code: &'static str| {
        move |dynos: &[Value]| {
            let says = |dyno: &Value| dyno["additional_info"].as_str().unwrap_or("").starts_with(code);
            dynos.iter().any(|dyno| dyno["state"] == "start-failure" && says(dyno))
        }
    };
    client.wait_for_dynos(&app, "the command is blamed", says("H9")).await;

    client.create_space("other").await;
    let app = client.create_app("stranded", "other").await;
    client.deploy(&app, &Source::version("one")).await;
    let container = docker(&["ps", "-q", "--filter", &format!("label=akkeris.key={app}")]);
    let format = "{{range $name, $network := .NetworkSettings.Networks}}{{$network.NetworkID}}{{end}}";
    let network = docker(&["inspect", "-f", format, &container]);
    daemon.kill_9();
    docker(&["kill", &container]);
    docker(&["network", "rm", &network]);
    daemon.spawn(&[]);
    daemon.wait_for_api().await;
    client.wait_for_dynos(&app, "the platform is blamed", says("H99")).await;
    client.wait_for_dynos(&app, "another dyno runs in another network", all_ready(1)).await;
    daemon.wait_for_answer(&app, "/", "one").await;
    assert!(client.crashes(&app).await.iter().any(|code| code == "H99"));
}
