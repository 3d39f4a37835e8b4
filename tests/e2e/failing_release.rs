//! A release that does not come up leaves what ran before running.

use serde_json::{Value, json};

use crate::support::archive::Source;
use crate::support::client::all_ready;
use crate::support::daemon::Daemon;

/// What a failed release says.
fn reason(release: &Value) -> String {
    assert_eq!(release["status"], "failed", "{release}");
    release["failure_message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_never_listens_exits_or_is_unhealthy_fails_and_the_old_one_serves_on() {
    let daemon = Daemon::start_with(&[("AKKERISD_DYNOS_BOOT_TIMEOUT", "4s")]).await;
    let client = daemon.client();
    let app = client.create_app("steady", "default").await;
    client.deploy(&app, &Source::version("good")).await;

    let silent = client.deploy(&app, &Source::version("silent").order("never_listen", "1")).await;
    let text = reason(&silent);
    assert!(text.contains("H20") && text.contains("never listening"), "{text}");
    assert_eq!(client.crashes(&app).await, ["H20"]);
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "good".to_owned()));

    let exiting = client.deploy(&app, &Source::version("exiting").order("exit_code", "3")).await;
    let text = reason(&exiting);
    assert!(text.contains("H10") && text.contains("told to exit with 3"), "{text}");
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "good".to_owned()));

    let path = format!("/apps/{app}/formation/web");
    client.send("PATCH", &path, Some(json!({"healthcheck": "/health"})), 200).await;
    let ill = client.deploy(&app, &Source::version("ill").order("health_status", "500")).await;
    let text = reason(&ill);
    assert!(text.contains("answered 500"), "{text}");
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "good".to_owned()));

    let well = client.deploy(&app, &Source::version("well")).await;
    assert_eq!(well["status"], "succeeded", "{well}");
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "well".to_owned()));
    client.wait_for_dynos(&app, "the failed releases' dynos are gone", all_ready(1)).await;
}
