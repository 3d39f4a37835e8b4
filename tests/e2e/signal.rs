//! A signal that a user sends reaches the processes of a dyno, through the reconciler.

use serde_json::json;

use crate::support::archive::Source;
use crate::support::client::{Client, all_ready};
use crate::support::daemon::Daemon;
use crate::support::docker::base_image;

async fn send(client: &Client, app: &str, dyno: &str, signal: u8) {
    let path = format!("/apps/{app}/dynos/web.{dyno}/actions/attach");
    let body = json!({"command": ["sh", "-c", format!("kill -{signal} -1")], "stdin": ""});
    assert_eq!(client.send("POST", &path, Some(body), 200).await, json!({"stdout": "", "stderr": ""}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_all_processes_of_one_dyno_and_no_other() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("signalled", "default").await;
    // The program is the child of a shell: a signal to the first process alone would end the shell only.
    let web = json!({"type": "web", "quantity": 2, "command": "sh -c 'trap \"\" TERM; (trap - TERM; exec /dyno); exit 33'"});
    client.send("POST", &format!("/apps/{app}/formation"), Some(web), 201).await;
    client.deploy(&app, &Source::version("one")).await;
    let dynos = client.wait_for_dynos(&app, "both run", all_ready(2)).await;
    let (told, other) = (dynos[0]["name"].as_str().unwrap(), dynos[1]["name"].as_str().unwrap());
    send(&client, &app, told, 15).await;
    let after = client
        .wait_for_dynos(&app, "the one was started again", |dynos| {
            dynos.iter().any(|dyno| dyno["restarts"].as_u64() >= Some(1))
        })
        .await;
    let restarts = |name: &str| after.iter().find(|dyno| dyno["name"] == name).unwrap()["restarts"].clone();
    assert_eq!((restarts(told), restarts(other)), (json!(1), json!(0)), "{after:?}");
    client.wait_for_dynos(&app, "both run again", all_ready(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_the_first_process_where_the_image_has_no_shell() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("shellless", "default").await;
    let base = base_image();
    let dockerfile = format!(
        "FROM {base} AS base\nFROM scratch\nCOPY --from=base /dyno /dyno\nCOPY --from=base /lib /lib\n\
         COPY --from=base /lib64 /lib64\nCMD [\"/dyno\"]\n"
    );
    client.deploy(&app, &Source::version("one").file("Dockerfile", &dockerfile)).await;
    let dynos = client.wait_for_dynos(&app, "it runs", all_ready(1)).await;
    send(&client, &app, dynos[0]["name"].as_str().unwrap(), 9).await;
    client.wait_for_dynos(&app, "it was started again", |dynos| dynos[0]["restarts"] == 1).await;
}
