//! Sockets that systemd passes: connections wait in them while no daemon runs.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Command;

use tokio::task::JoinHandle;

use crate::support::archive::Source;
use crate::support::daemon::Daemon;

/// Moves the sockets from the standard streams to where systemd puts them, and becomes the daemon.
const LAUNCHER: &str = "exec 3<&0 4<&1 5<&2 0</dev/null 1>/dev/null 2>>\"$DAEMON_LOG\"; \
    LISTEN_PID=$$ LISTEN_FDS=3 exec \"$@\"";

fn launcher(daemon: &Daemon, sockets: &[TcpListener; 3]) -> Command {
    let [api, http, https] = sockets.each_ref().map(|socket| OwnedFd::from(socket.try_clone().unwrap()));
    let mut launcher = Command::new("sh");
    launcher.args(["-c", LAUNCHER, "sh"]).env("DAEMON_LOG", daemon.log_path());
    launcher.stdin(https).stdout(api).stderr(http);
    launcher
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_wait_in_passed_sockets_while_no_daemon_runs() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("activated", "default").await;
    client.deploy(&app, &Source::version("one")).await;
    daemon.kill_9();

    // Bound here without SO_REUSEPORT: a daemon that bound them itself would fail.
    let sockets = daemon.addresses().map(|address| TcpListener::bind(address).unwrap());
    for _ in 0..2 {
        let waiting = waiting_requests(&daemon, &app);
        let launcher = launcher(&daemon, &sockets);
        daemon.spawn_with_sockets(launcher);
        for answered in waiting {
            assert_eq!(answered.await.unwrap(), Ok(200));
        }
        daemon.kill_9();
    }
    let launcher = launcher(&daemon, &sockets);
    daemon.spawn_with_sockets(launcher);
    daemon.wait_for_answer(&app, "/", "one").await;
    let (upgraded, said) = daemon.upgrade(&[]).await;
    assert!(upgraded, "{said}");
    daemon.wait_for_end().await;
    assert_eq!(daemon.fetch(&app, "/").await, Ok((200, "one".to_owned())));
}

/// Requests to the API and to an app, on connections that nobody accepts yet.
fn waiting_requests(daemon: &Daemon, app: &str) -> [JoinHandle<Result<u16, String>>; 2] {
    let (client, web, url) = (daemon.client(), daemon.web(app), daemon.url(app, "/"));
    let to_api = async move { client.try_send("GET", "/apps", None).await.map(|(status, _)| status) };
    let to_app = async move {
        let answer = web.get(url).send().await.map_err(|error| format!("{error:?}"))?;
        Ok(answer.status().as_u16())
    };
    [tokio::task::spawn(to_api), tokio::task::spawn(to_app)]
}
