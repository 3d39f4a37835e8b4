//! What dynos write reaches the log of their app, whatever happens to the daemon, and a flood harms nobody.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::archive::Source;
use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::{pause, wait_until};

const LIMIT: Duration = Duration::from_mins(1);

/// The texts of the newest lines of an app's dynos.
async fn texts(client: &Client, app: &str) -> Result<Vec<String>, String> {
    let (status, log) = client.try_send("GET", &format!("/apps/{app}/logs?lines=10000"), None).await?;
    let log = log.as_str().unwrap_or_default();
    let text = |line: &str| line.split_once(": ").map_or_else(String::new, |(_, text)| text.to_owned());
    if status == 200 { Ok(log.lines().map(text).collect()) } else { Err(log.to_owned()) }
}

async fn wait_for_line(client: &Client, app: &str, start: &str) -> Vec<String> {
    wait_until(&format!("{start} is in the log"), LIMIT, || async {
        let texts = texts(client, app).await?;
        let found = texts.iter().any(|text| text.starts_with(start));
        if found { Ok(texts) } else { Err(format!("{} lines", texts.len())) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_is_missing_or_there_twice_when_the_daemon_is_killed_while_an_app_writes() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("counting", "default").await;
    client.deploy(&app, &Source::version("one").order("count_for_ms", "8000")).await;
    for time in [300, 900, 100] {
        daemon.restart().await;
        pause(Duration::from_millis(time)).await;
    }
    let log = wait_for_line(&client, &app, "counted ").await;
    let counted: usize = log.iter().find_map(|text| text.strip_prefix("counted ")?.parse().ok()).unwrap();
    let mut numbers: Vec<usize> =
        log.iter().filter_map(|text| text.strip_prefix("n ")?.parse().ok()).collect();
    let (stderr, stdout): (Vec<usize>, Vec<usize>) = numbers.iter().partition(|number| *number % 3 == 0);
    assert!(stderr.is_sorted() && stdout.is_sorted(), "each stream keeps its order");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..counted).collect::<Vec<_>>());
    assert!(counted > 1_000, "{counted}");
    assert!(log.iter().any(|text| text == "dyno version one starts"), "from the first byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_ends_in_the_log_within_its_limits_and_does_not_block_its_app() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("flooding", "default").await;
    client.deploy(&app, &Source::version("one").order("flood_for_ms", "5000")).await;
    let began = Instant::now();
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "one".to_owned()));
    eprintln!("the flooding app answered in {:?}", began.elapsed());
    wait_for_line(&client, &app, "flooded").await;
    let app = client.get(&format!("/apps/{app}")).await;
    let folder = daemon.data_dir().join("logs").join(app["id"].as_str().unwrap());
    let bytes: u64 =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    eprintln!("the ring has {bytes} bytes");
    assert!(bytes <= 64 << 20, "{bytes}");
    assert!(bytes > 1 << 20, "{bytes}");
    let session =
        client.send("POST", "/apps/flooding-default/log-sessions", Some(json!({"lines": 5})), 201).await;
    assert!(session["logplex_url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{session}");
}
