//! What providers are asked for, and what comes of their answers.

use serde_json::json;

use super::harness::{Answer, addon_in, ready, start};

const PATH: &str = "/apps/app-default/addons";

#[tokio::test]
async fn a_provider_that_works_on_is_asked_until_it_is_done() {
    let (daemon, scripted, client) = start().await;
    for _ in 0..3 {
        scripted.tell("provision", Answer::Working);
    }
    scripted.tell("provision", Answer::Later("not now"));
    let _work = daemon.work_at_addons();
    ready(&client, json!({ "plan": "db" })).await;
    assert_eq!(scripted.calls(), ["provision", "provision", "provision", "provision", "provision", "bind"]);
}

#[tokio::test]
async fn an_addon_that_is_refused_has_failed_with_the_reason_and_leaves_nothing() {
    let (daemon, scripted, client) = start().await;
    scripted.tell("provision", Answer::Refused("No room."));
    let _work = daemon.work_at_addons();
    let made = client.post(PATH, json!({ "plan": "db" })).await.json(201);
    let failed = addon_in(&client, &made, "failed").await;
    assert_eq!(failed["state_description"], "No room.");
    client.delete(&format!("{PATH}/{}", made["id"].as_str().unwrap())).await.json(200);
    assert_eq!(scripted.calls(), ["provision"]);
    assert_eq!(daemon.count("addon_jobs"), 0);
}

#[tokio::test]
async fn what_may_be_left_of_a_failed_addon_is_taken_away() {
    let (daemon, scripted, client) = start().await;
    scripted.tell("provision", Answer::Broken("It broke."));
    scripted.tell("deprovision", Answer::Later("not now"));
    let _work = daemon.work_at_addons();
    let made = client.post(PATH, json!({ "plan": "db" })).await.json(201);
    addon_in(&client, &made, "failed").await;
    scripted.wait_for("deprovision", 2).await;
}

#[tokio::test]
async fn an_addon_whose_variables_are_refused_has_failed_and_is_taken_away() {
    let (daemon, scripted, client) = start().await;
    scripted.tell("bind", Answer::Broken("No credentials."));
    let _work = daemon.work_at_addons();
    let made = client.post(PATH, json!({ "plan": "db" })).await.json(201);
    let failed = addon_in(&client, &made, "failed").await;
    assert_eq!(failed["state_description"], "No credentials.");
    scripted.wait_for("deprovision", 1).await;
    assert_eq!(scripted.calls(), ["provision", "bind", "unbind", "deprovision"]);
}

#[tokio::test]
async fn a_plan_that_is_refused_leaves_the_present_one() {
    let (daemon, scripted, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db" })).await;
    scripted.tell("change_plan", Answer::Refused("Too small."));
    let path = format!("{PATH}/{}", addon["id"].as_str().unwrap());
    client.patch(&path, json!({ "plan": "db:large" })).await.json(200);
    let after = addon_in(&client, &addon, "provisioned").await;
    assert_eq!(after["plan"]["name"], "db:small");
    assert_eq!(after["state_description"], "The plan was not changed. Too small.");
}

#[tokio::test]
async fn another_worker_goes_on_with_what_one_left_undone() {
    let (daemon, scripted, client) = start().await;
    for _ in 0..2 {
        scripted.tell("provision", Answer::Working);
    }
    let made = client.post(PATH, json!({ "plan": "db" })).await.json(201);
    let first = daemon.work_at_addons();
    scripted.wait_for("provision", 1).await;
    assert!(first.0.stop(super::harness::LIMIT).await);
    let _second = daemon.work_at_addons();
    addon_in(&client, &made, "provisioned").await;
}

#[tokio::test]
async fn an_addon_that_is_deleted_before_its_provider_was_asked_is_gone_at_once() {
    let (daemon, scripted, client) = start().await;
    let made = client.post(PATH, json!({ "plan": "db" })).await.json(201);
    client.delete(&format!("{PATH}/{}", made["id"].as_str().unwrap())).await.json(200);
    assert_eq!(daemon.count("addon_jobs"), 0);
    let _work = daemon.work_at_addons();
    ready(&client, json!({ "plan": "db" })).await;
    assert_eq!(scripted.calls(), ["provision", "bind"]);
}
