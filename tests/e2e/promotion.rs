//! The image that one stage tested is the one that the next stage serves.

use std::time::Duration;

use serde_json::json;

use crate::support::archive::Source;
use crate::support::client::all_ready;
use crate::support::daemon::Daemon;
use crate::support::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_release_answers_on_its_target_and_outlives_its_source() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    client.send("POST", "/pipelines", Some(json!({"name": "story"})), 201).await;
    let mut apps = Vec::new();
    for (name, stage) in [("tested", "staging"), ("served", "production")] {
        let app = client.create_app(name, "default").await;
        let coupling = json!({"app": app, "pipeline": "story", "stage": stage});
        client.send("POST", "/pipeline-couplings", Some(coupling), 201).await;
        apps.push(app);
    }
    let (tested, served) = (&apps[0], &apps[1]);
    client.deploy(tested, &Source::version("one")).await;

    let promotion = json!({
        "pipeline": {"id": "story"}, "source": {"app": {"id": tested}}, "targets": [{"app": {"id": served}}]
    });
    let promotion = client.send("POST", "/pipeline-promotions", Some(promotion), 200).await;
    assert_eq!(promotion["status"], "pending");
    assert_eq!(client.finish_release(served, 1).await["status"], "succeeded");
    assert_eq!(daemon.fetch(served, "/").await.unwrap(), (200, "one".to_owned()));
    let path = format!("/pipeline-promotions/{}", promotion["id"].as_str().unwrap());
    assert_eq!(client.send("GET", &path, None, 200).await["status"], "successful");

    client.send("DELETE", &format!("/apps/{tested}"), None, 200).await;
    let alone = async || match daemon.containers().len() {
        1 => Ok(()),
        many => Err(format!("{many} containers")),
    };
    wait_until("the source's dyno is gone", Duration::from_mins(1), alone).await;
    client.scale(served, "web", 2).await;
    client.wait_for_dynos(served, "a second dyno has the image", all_ready(2)).await;
    assert_eq!(daemon.fetch(served, "/").await.unwrap(), (200, "one".to_owned()));

    assert_eq!(daemon.images().len(), 1);
    client.send("DELETE", &format!("/apps/{served}"), None, 200).await;
    let nothing = async || match daemon.images() {
        images if images.is_empty() => Ok(()),
        images => Err(format!("{images:?}")),
    };
    wait_until("the image went with the last app that needed it", Duration::from_mins(1), nothing).await;
}
