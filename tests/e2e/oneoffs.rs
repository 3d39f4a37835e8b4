//! Commands that run once: of a release, of a user, of a schedule, and at a terminal.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::archive::Source;
use crate::support::client::{Client, all_ready};
use crate::support::daemon::{Daemon, TOKEN};
use crate::support::wait_until;

const LIMIT: Duration = Duration::from_secs(90);

async fn log(client: &Client, app: &str) -> Result<Vec<String>, String> {
    let (status, log) = client.try_send("GET", &format!("/apps/{app}/logs?lines=10000"), None).await?;
    let lines = log.as_str().unwrap_or_default().lines().map(str::to_owned).collect();
    if status == 200 { Ok(lines) } else { Err(log.to_string()) }
}

/// Waits until the log has a line with both texts; gives how many it has.
async fn logged(client: &Client, app: &str, source: &str, text: &str) -> usize {
    wait_until(&format!("{source} wrote {text:?}"), LIMIT, || async {
        let lines = log(client, app).await?;
        let count = lines.iter().filter(|line| line.contains(source) && line.contains(text)).count();
        if count > 0 { Ok(count) } else { Err(lines.join("\n")) }
    })
    .await
}

async fn ended(client: &Client, app: &str, dyno: &Value) -> Value {
    let path = format!("/apps/{app}/dynos/{}", dyno["name"].as_str().unwrap());
    wait_until("the one-off dyno ended", LIMIT, || async {
        let (_, dyno) = client.try_send("GET", &path, None).await?;
        if dyno["state"] == "stopped" { Ok(dyno) } else { Err(dyno.to_string()) }
    })
    .await
}

fn with_release(version: &str, command: &str) -> Source {
    Source::version(version).file("Procfile", &format!("web: /dyno\nrelease: {command}\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_of_a_release_decides_about_it_and_is_run_once_whatever_happens_to_the_daemon() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("phased", "default").await;
    let first = client.deploy(&app, &with_release("one", "/dyno exit_code=0 exit_after_ms=500")).await;
    assert_eq!(first["status"], "succeeded", "{first}");
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "one".to_owned()));
    assert_eq!(logged(&client, &app, "app[release.", "told to exit with 0").await, 1);

    let bad = client.deploy(&app, &with_release("bad", "/dyno exit_code=7")).await;
    assert_eq!(bad["status"], "failed", "{bad}");
    let message = bad["failure_message"].as_str().unwrap();
    assert!(message.contains("exited with status 7") && message.contains("told to exit with 7"), "{message}");
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "one".to_owned()));
    assert_eq!(logged(&client, &app, "app[release.", "told to exit with 7").await, 1);

    let slow = with_release("two", "/dyno exit_code=0 exit_after_ms=5000");
    let build = client.begin_build(&app, &slow.tar_gz()).await;
    assert_eq!(client.finish_build(&app, &build).await.0, "succeeded");
    client
        .wait_for_dynos(&app, "the command runs", |dynos| {
            dynos.iter().any(|dyno| dyno["type"] == "release" && dyno["state"] == "running")
        })
        .await;
    daemon.restart().await;
    let client = daemon.client();
    let release = client.finish_release(&app, 3).await;
    assert_eq!(release["status"], "succeeded", "{release}");
    daemon.wait_for_answer(&app, "/", "two").await;
    wait_until("the log has all of it, once", LIMIT, || async {
        let lines = log(&client, &app).await?;
        let count = lines.iter().filter(|line| line.contains("told to exit with 0")).count();
        if count == 2 { Ok(()) } else { Err(lines.join("\n")) }
    })
    .await;
    client.wait_for_dynos(&app, "one dyno is left", all_ready(1)).await;
    wait_until("the containers of commands go", LIMIT, || async {
        let containers = daemon.containers();
        if containers.len() == 1 { Ok(()) } else { Err(format!("{containers:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_detached_or_by_its_schedule_and_its_output_is_in_the_log() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("running", "default").await;
    client.deploy(&app, &Source::version("one")).await;
    let schedule = json!({ "cron": "* * * * *", "time_zone": "Europe/Berlin" });
    let clock = json!({ "type": "clock", "command": "/dyno exit_code=0", "schedule": schedule });
    client.send("POST", &format!("/apps/{app}/formation"), Some(clock), 201).await;

    let dynos = format!("/apps/{app}/dynos");
    let run = json!({ "command": "/dyno exit_code=3 exit_after_ms=3000" });
    let dyno = client.send("POST", &dynos, Some(run), 201).await;
    daemon.restart().await;
    let client = daemon.client();
    assert_eq!(ended(&client, &app, &dyno).await["exit_code"], 3);
    let source = format!("app[run.{}]", dyno["name"].as_str().unwrap());
    assert_eq!(logged(&client, &app, &source, "told to exit with 3").await, 1);

    let endless = json!({ "command": "/dyno never_listen=1", "time_to_live": 2 });
    let endless = client.send("POST", &dynos, Some(endless), 201).await;
    let stopped = ended(&client, &app, &endless).await;
    assert!(stopped["additional_info"].as_str().unwrap().contains("time limit of 2 s"), "{stopped}");

    let nothing = json!({ "command": "/no/such/program" });
    let nothing = client.send("POST", &dynos, Some(nothing), 201).await;
    let failed = ended(&client, &app, &nothing).await;
    // An engine with an init program starts that, which says what it does not find; one without refuses.
    let refused = failed["additional_info"].as_str().unwrap().contains("/no/such/program");
    assert!(refused || failed["exit_code"] == 127, "{failed}");

    logged(&client, &app, "app[clock.", "told to exit with 0").await;
    client.send("DELETE", &format!("/apps/{app}/formation/clock"), None, 200).await;
    wait_until("their containers go", LIMIT, || async {
        let containers = daemon.containers();
        if containers.len() == 1 { Ok(()) } else { Err(format!("{containers:?}")) }
    })
    .await;
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "one".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_through_the_edge_carries_what_is_typed_and_what_is_answered() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("typing", "default").await;
    client.deploy(&app, &Source::version("one")).await;
    let run = json!({ "command": "/dyno echo=1", "attach": true });
    let dyno = client.send("POST", &format!("/apps/{app}/dynos"), Some(run), 201).await;
    let name = dyno["name"].as_str().unwrap();

    let stream = tokio::net::TcpStream::connect(("127.0.0.1", daemon.https_port())).await.unwrap();
    let tls = tokio_rustls::TlsConnector::from(Arc::clone(&daemon.tls(&[b"http/1.1"])));
    let stream = tls.connect("api.localhost".try_into().unwrap(), stream).await.unwrap();
    let url = format!("wss://api.localhost:{}/apps/{app}/dynos/{name}/attach", daemon.https_port());
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    headers.insert("sec-websocket-protocol", "v5.channel.k8s.io".parse().unwrap());
    let (mut socket, _) = client_async(request, stream).await.unwrap();

    let send = |bytes: &[u8]| Message::Binary(bytes.to_vec().into());
    socket.send(send(b"\x04{\"Width\":100,\"Height\":30}")).await.unwrap();
    socket.send(send(b"\x00hello\n")).await.unwrap();
    let (mut shown, mut status) = (String::new(), Value::Null);
    let talk = async {
        while let Some(Ok(message)) = socket.next().await {
            let Message::Binary(bytes) = message else { continue };
            match bytes.split_first() {
                Some((1, text)) => shown.push_str(&String::from_utf8_lossy(text)),
                Some((3, text)) => status = serde_json::from_slice(text).unwrap(),
                other => panic!("{other:?}"),
            }
            if status.is_null() && shown.ends_with("heard hello\r\n") {
                // The terminal makes the end of the input out of it.
                socket.send(send(b"\x00\x04")).await.unwrap();
            }
        }
    };
    tokio::time::timeout(LIMIT, talk).await.unwrap();
    assert_eq!(shown, "hello\r\nheard hello\r\n");
    assert_eq!(status["details"]["causes"][0], json!({ "reason": "ExitCode", "message": "5" }));
    assert_eq!(ended(&client, &app, &dyno).await["exit_code"], 5);
    let lines = log(&client, &app).await.unwrap();
    assert!(lines.iter().all(|line| !line.contains("heard hello")), "{lines:#?}");
}
