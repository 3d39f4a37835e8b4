//! What dynos write reaches a log drain, also when the daemon is killed in between.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::support::archive::Source;
use crate::support::daemon::Daemon;
use crate::support::wait_until;

const LIMIT: Duration = Duration::from_mins(1);

/// A syslog server on this machine that ends with the test; its port, and the lines it was sent.
fn server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, lines) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let received = Arc::clone(&lines);
    std::thread::spawn(move || {
        // One connection after the other, as the drain makes them.
        for stream in listener.incoming() {
            for line in BufReader::new(stream.unwrap()).lines() {
                let Ok(line) = line else { break };
                received.lock().unwrap().push(line);
            }
        }
    });
    (port, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_an_app_reaches_its_drain_although_the_daemon_is_killed() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("drained", "default").await;
    let (port, lines) = server();
    let url = json!({ "url": format!("syslog://127.0.0.1:{port}") });
    let drain = client.send("POST", &format!("/apps/{app}/log-drains"), Some(url), 201).await;
    client.deploy(&app, &Source::version("one").order("count_for_ms", "4000")).await;
    daemon.restart().await;
    let numbers = || -> Vec<usize> {
        let number = |line: &String| line.split_once(" - - - n ")?.1.parse().ok();
        lines.lock().unwrap().iter().filter_map(number).collect()
    };
    let counted = wait_until("the end of the count is drained", LIMIT, || async {
        let count = |line: &String| line.split_once(" - - - counted ")?.1.parse::<usize>().ok();
        let counted = lines.lock().unwrap().iter().find_map(count);
        counted.ok_or_else(|| format!("{} numbers", numbers().len()))
    })
    .await;
    wait_until("every number is drained", LIMIT, || async {
        // What was sent in the seconds before a crash may come twice.
        let mut numbers = numbers();
        numbers.sort_unstable();
        numbers.dedup();
        let all = numbers == (0..counted).collect::<Vec<_>>();
        if all { Ok(()) } else { Err(format!("{} of {counted}", numbers.len())) }
    })
    .await;
    for of in [" akkeris/build - - - ", " akkeris/controller - - - Release v1 succeeded"] {
        assert!(lines.lock().unwrap().iter().any(|line| line.contains(of)), "nothing of {of}");
    }
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "one".to_owned()));
    wait_until("the request is drained", LIMIT, || async {
        let found = lines.lock().unwrap().iter().any(|line| line.contains(" akkeris/router - - - "));
        if found { Ok(()) } else { Err("it is not".to_owned()) }
    })
    .await;
    let view = client.get(&format!("/apps/{app}/log-drains/{}", drain["id"].as_str().unwrap())).await;
    assert_eq!((&view["state"], &view["dropped"]), (&json!("connected"), &json!(0)));
}
