//! One-off dynos, release commands and schedules: the reconciler on a scripted engine, with the clock in the test's
//! hands.

pub(crate) mod harness;
mod release_commands;
mod schedules;
mod terminals;

use akkerisd::engine::ContainerState;
use akkerisd::model::log::OutputStream;
use akkerisd::model::oneoff::Terminal;
use serde_json::json;

use self::harness::{House, PATH};

#[tokio::test]
async fn a_command_runs_once_and_its_end_stays_to_be_seen() {
    let house = House::released(&[]).await;
    let body = json!({ "command": "rake \"db migrate\" $COLOR", "env": { "COLOR": "blue" }, "size": "gp2" });
    let dyno = house.client.post(PATH, body).await.json(201);
    assert_eq!(
        (&dyno["type"], &dyno["state"], &dyno["attach_url"]),
        (&json!("run"), &json!("pending"), &json!(""))
    );
    assert_eq!((&dyno["size"], &dyno["release"]["version"]), (&json!("gp2"), &json!(1)));
    assert!(dyno.get("exit_code").is_none(), "{dyno}");
    let name = dyno["name"].as_str().unwrap().to_owned();
    let (id, spec) = house.container("run").await;
    assert_eq!(spec.dyno.as_str(), name);
    assert_eq!(spec.command, Some(["rake", "db migrate", "blue"].map(str::to_owned).to_vec()));
    assert_eq!(spec.env["AKKERIS_DYNO"], format!("run.{name}"));
    assert_eq!((spec.terminal, spec.aliases.len()), (Terminal::Detached, 0));
    let path = format!("{PATH}/run.{name}");
    house.wait("it runs", || house.shows(&path, "state", json!("running"))).await;
    assert_eq!(house.client.get(PATH).await.json(200).as_array().unwrap().len(), 2);

    house.engine().write(&id, OutputStream::Stdout, 1, "migrated\n");
    house.engine().die(&id, 3, false);
    house.wait("its end is seen", || house.shows(&path, "exit_code", json!(3))).await;
    let ended = house.client.get(&path).await.json(200);
    assert_eq!(
        (&ended["state"], &ended["additional_info"]),
        (&json!("stopped"), &json!("exited with status 3"))
    );
    house
        .wait("it is listed no more", || async {
            house.client.get(PATH).await.json(200).as_array().unwrap().len() == 1
        })
        .await;
    assert!(house.has_container("run"), "its output may not be read yet");
    house.advance(20).await;
    house.wait("its container goes", || async { !house.has_container("run") }).await;
    assert_eq!(house.client.get(&path).await.json(200)["exit_code"], 3);
    assert_eq!(house.starts(&name), 1);
}

#[tokio::test]
async fn a_one_off_dyno_is_stopped_by_its_name_its_type_or_its_time() {
    let house = House::released(&[]).await;
    let run = |limit: i64| json!({ "command": "sleep", "time_to_live": limit });
    let first = house.client.post(PATH, run(60)).await.json(201)["name"].as_str().unwrap().to_owned();
    house.container("run").await;
    let answer = house.client.delete(&format!("{PATH}/run.{first}")).await.json(202);
    assert_eq!(answer["dyno"], first);
    let info = |name: &str| format!("{PATH}/{name}");
    house.wait("it is stopped", || house.shows(info(&first), "exit_code", json!(143))).await;
    let by = house.client.get(&info(&first)).await.json(200)["additional_info"].clone();
    assert_eq!(by, "exited with status 143: stopped by admin");

    let second = house.client.post(PATH, run(60)).await.json(201)["name"].as_str().unwrap().to_owned();
    house.wait("it runs", || house.shows(info(&second), "state", json!("running"))).await;
    let answer = house.client.delete(&format!("{PATH}/run")).await.json(200);
    assert_eq!(answer, json!({ "status": "stopping", "type": "run" }));
    house.wait("it is stopped", || house.shows(info(&second), "exit_code", json!(143))).await;

    let third = house.client.post(PATH, run(60)).await.json(201)["name"].as_str().unwrap().to_owned();
    house.wait("it runs", || house.shows(info(&third), "state", json!("running"))).await;
    house.advance(61).await;
    house.wait("its time is over", || house.shows(info(&third), "exit_code", json!(143))).await;
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_with_the_reason() {
    let house = House::empty().await;
    let run = json!({ "command": "true" });
    assert!(house.client.post(PATH, run.clone()).await.error(409).contains("no release"));
    let release = house.release(&[]).await;
    house.wait("the release is up", || house.is_released(&release, "succeeded")).await;
    for (body, status) in [
        (json!({}), 422),
        (json!({ "type": "worker" }), 422),
        (json!({ "type": "clock" }), 404),
        (json!({ "command": "\"" }), 422),
        (json!({ "command": "true", "time_to_live": 0 }), 422),
        (json!({ "command": "true", "time_to_live": 86401 }), 422),
        (json!({ "command": "true", "size": "huge" }), 422),
        (json!({ "command": "true", "env": { "A B": "1" } }), 422),
    ] {
        house.client.post(PATH, body).await.error(status);
    }
    assert!(!house.has_container("run"));
    for _ in 0..32 {
        house.client.post(PATH, run.clone()).await.json(201);
    }
    assert!(house.client.post(PATH, run).await.error(409).contains("32 one-off dynos"));
}

#[tokio::test]
async fn a_formation_of_one_off_dynos_is_run_on_demand_and_never_by_a_release() {
    let house = House::released(&[]).await;
    let formation = "/apps/app/formation";
    let options = json!({ "image": "postgres:18", "env": { "SECRET": "s3cr3t" } });
    let body = json!({ "type": "migrate", "command": "migrate", "oneoff": true, "options": options });
    let made = house.client.post(formation, body).await.json(201);
    assert_eq!(
        (&made["oneoff"], &made["quantity"], &made["schedule"]),
        (&json!(true), &json!(0), &json!(null))
    );
    house.release(&[]).await;
    assert!(!house.has_container("migrate"));
    let dyno = house.client.post(PATH, json!({ "type": "migrate" })).await.json(201);
    assert_eq!((&dyno["type"], &dyno["command"]), (&json!("migrate"), &json!("migrate")));
    let (_, spec) = house.container("migrate").await;
    assert_eq!((spec.image.as_str(), spec.env["SECRET"].as_str()), ("sha256:postgres:18", "s3cr3t"));
    assert!(!house.daemon.disk().await.contains("s3cr3t"));
    let answer = house.client.delete(&format!("{PATH}/migrate")).await.json(200);
    assert_eq!(answer, json!({ "status": "stopping", "type": "migrate" }));
    for (body, what) in [
        (json!({ "type": "web", "oneoff": true }), "web"),
        (json!({ "type": "a", "command": "a", "oneoff": true, "options": { "image": "untagged" } }), "image"),
        (json!({ "type": "b", "command": "b", "oneoff": true, "options": { "env": {} } }), "env"),
        (json!({ "type": "c", "command": "c", "options": { "env": { "A": "1" } } }), "oneoff"),
        (json!({ "type": "d", "command": "d", "oneoff": true, "quantity": 2 }), "quantity"),
    ] {
        let answer = house.client.post(formation, body.clone()).await;
        assert!(answer.status.as_u16() == 422 || answer.status.as_u16() == 409, "{what}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_one_off_dyno_goes_on_over_a_restart_of_the_daemon_and_is_not_run_again() {
    let mut house = House::released(&[]).await;
    let running = house.client.post(PATH, json!({ "command": "one" })).await.json(201);
    let (id, _) = house.container("run").await;
    let name = running["name"].as_str().unwrap().to_owned();
    house.wait("it runs", || house.shows(format!("{PATH}/{name}"), "state", json!("running"))).await;
    house.stop_reconciler().await;
    house.engine().die(&id, 0, false);
    house.start_reconciler().await;
    let path = format!("{PATH}/{name}");
    house.wait("its end is seen", || house.shows(&path, "exit_code", json!(0))).await;
    assert_eq!(house.starts(&name), 1);

    let lost = house.client.post(PATH, json!({ "command": "two" })).await.json(201)["name"].clone();
    let path = format!("{PATH}/{}", lost.as_str().unwrap());
    house.wait("it runs", || house.shows(&path, "state", json!("running"))).await;
    house.stop_reconciler().await;
    house.remove_container(lost.as_str().unwrap()).await;
    house.start_reconciler().await;
    house.wait("it ended", || house.shows(&path, "state", json!("stopped"))).await;
    let info = house.client.get(&path).await.json(200)["additional_info"].clone();
    assert!(info.as_str().unwrap().contains("its container is gone"), "{info}");
    assert_eq!(house.starts(lost.as_str().unwrap()), 1);
}

#[tokio::test]
async fn a_one_off_dyno_that_cannot_be_made_ends_with_the_engines_words() {
    use akkerisd::engine::EngineError;
    let house = House::released(&[]).await;
    let refused = EngineError::Refused("no space left on the moon".to_owned());
    house.engine().fail_next(crate::support::fake_engine::Call::Create, refused);
    let name = house.client.post(PATH, json!({ "command": "x" })).await.json(201)["name"].clone();
    let path = format!("{PATH}/{}", name.as_str().unwrap());
    house.wait("it ended", || house.shows(&path, "state", json!("stopped"))).await;
    let ended = house.client.get(&path).await.json(200);
    assert!(ended["additional_info"].as_str().unwrap().contains("no space left on the moon"), "{ended}");
    assert!(ended.get("exit_code").is_none());
    assert!(house.engine().containers().iter().all(|(_, spec, state)| {
        spec.process_type.as_str() == "worker" && matches!(state, ContainerState::Running { .. })
    }));
}
