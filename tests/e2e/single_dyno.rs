//! Of an app with the feature `single-dyno` two dynos never run together, and no request is lost over it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::archive::Source;
use crate::support::client::all_ready;
use crate::support::daemon::Daemon;
use crate::support::load::{Load, Protocol};
use crate::support::releases_to_make;

const RATE: u32 = 100;

/// What the engine tells of the containers of one daemon.
struct Events {
    follower: Child,
    /// A pipe would hold a hundred of them, and the follower up.
    file: PathBuf,
}

impl Events {
    fn follow(daemon: &Daemon) -> Self {
        let (label, file) = (daemon.label(), daemon.data_dir().with_file_name("events"));
        let follower = Command::new("docker")
            .args(["events", "--filter", "type=container", "--filter", &label])
            .args(["--filter", "event=create", "--filter", "event=die", "--format", "{{json .}}"])
            .stdout(File::create(&file).unwrap())
            .spawn()
            .unwrap();
        Self { follower, file }
    }

    /// The events so far, as pairs of what happened and to which container, in their order.
    fn stop(mut self) -> Vec<(String, String)> {
        self.follower.kill().unwrap();
        self.follower.wait().unwrap();
        let text = std::fs::read_to_string(self.file).unwrap();
        let mut events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        events.sort_by_key(|event| event["timeNano"].as_i64());
        let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
        events.iter().map(|event| (text(event, "Action"), text(event, "id"))).collect()
    }
}

/// A dyno runs after its container was made, and has ended when the engine says so. So when each container was made
/// after the end of the one before, no two ever ran together.
fn assert_one_after_the_other(events: &[(String, String)], at_least: usize) {
    let mut running: Option<&str> = None;
    let mut made = 0;
    for (action, id) in events {
        match (action.as_str(), running) {
            ("create", None) => {
                made += 1;
                running = Some(id);
            }
            ("create", Some(other)) => panic!("{id} was made while {other} ran: {events:#?}"),
            (_, Some(present)) if present == id => running = None,
            // The one from before the events were followed.
            (_, None) => {}
            (_, Some(present)) => panic!("{id} ended while {present} ran: {events:#?}"),
        }
    }
    assert!(made >= at_least, "{made} of {at_least} dynos were made: {events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_and_restarts_never_run_two_dynos_and_lose_no_request() {
    let releases = releases_to_make();
    let daemon = Daemon::start_with(&[("AKKERISD_DYNOS_STOP_GRACE", "2s")]).await;
    let client = daemon.client();
    let app = client.create_app("alone", "default").await;
    client
        .send("PATCH", &format!("/apps/{app}/features/single-dyno"), Some(json!({"enabled": true})), 200)
        .await;
    let mut slugs = Vec::new();
    for version in ["one", "two"] {
        let release = client.deploy(&app, &Source::version(version)).await;
        assert_eq!(release["status"], "succeeded", "{release}");
        slugs.push(release["slug"]["id"].as_str().unwrap().to_owned());
    }
    // More are asked for than run.
    client.scale(&app, "web", 3).await;
    let events = Events::follow(&daemon);
    let load = Load::start(&daemon, &app, Protocol::Http1KeepAlive, RATE);
    load.wait_for_answers(50).await;
    let began = Instant::now();
    for number in 0..releases {
        let release = client.release(&app, &slugs[number % 2]).await;
        assert_eq!(release["status"], "succeeded", "{release}");
    }
    let took = began.elapsed();
    let before = client.wait_for_dynos(&app, "one dyno runs", all_ready(1)).await;
    client.send("DELETE", &format!("/apps/{app}/dynos"), None, 202).await;
    client
        .wait_for_dynos(&app, "another dyno runs", |dynos| {
            all_ready(1)(dynos) && dynos[0]["name"] != before[0]["name"]
        })
        .await;
    let outcome = load.stop().await;
    eprintln!("{releases} releases in {took:?}, {} answers, {:?}", outcome.answered, outcome.bodies);
    outcome.assert_no_failure();
    assert_eq!(outcome.bodies.len(), 2, "both versions answered: {:?}", outcome.bodies);
    assert_one_after_the_other(&events.stop(), releases + 1);
}
