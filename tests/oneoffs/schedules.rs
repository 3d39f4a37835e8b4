//! Schedules of formations, with the clock in the test's hands.

use serde_json::{Value, json};

use super::harness::{House, PATH};

const FORMATION: &str = "/apps/app/formation";

async fn scheduled(house: &House, overlap: &str) {
    let schedule = json!({ "cron": "* * * * *", "time_zone": "Europe/Berlin", "overlap": overlap });
    let body = json!({ "type": "clock", "command": "tick", "schedule": schedule });
    let made = house.client.post(FORMATION, body).await.json(201);
    assert_eq!(made.get("oneoff"), Some(&json!(true)));
    let expected = json!({ "cron": "* * * * *", "time_zone": "Europe/Berlin", "overlap": overlap,
        "next_run_at": "1970-01-01T00:01:00.000Z" });
    assert_eq!(made.get("schedule"), Some(&expected));
}

/// How many runs of the formation there were, and how many of them have not ended.
async fn runs(house: &House) -> (usize, usize) {
    let made = house
        .engine()
        .calls()
        .into_iter()
        .filter(|(call, _)| *call == crate::support::fake_engine::Call::Create);
    let listed = house.client.get(PATH).await.json(200);
    let clocks = listed.as_array().unwrap().iter().filter(|dyno| dyno["type"] == "clock").count();
    // The first container is the worker's.
    (made.count() - 1, clocks)
}

#[tokio::test]
async fn a_schedule_runs_its_formation_each_time_it_is_due() {
    let house = House::released(&[]).await;
    scheduled(&house, "skip").await;
    assert_eq!(runs(&house).await, (0, 0));
    for round in 1..=3 {
        house.advance(if round == 1 { 50 } else { 60 }).await;
        house.wait("it was run", || async { runs(&house).await == (round, 1) }).await;
        let (id, spec) = house.container("clock").await;
        assert_eq!(spec.command, Some(vec!["tick".to_owned()]));
        house
            .wait("it runs", || async {
                let listed = house.client.get(PATH).await.json(200);
                listed.as_array().unwrap().iter().any(|d| d["type"] == "clock" && d["state"] == "running")
            })
            .await;
        house.engine().die(&id, 0, false);
        house.wait("it ended", || async { runs(&house).await == (round, 0) }).await;
    }
    let shown = house.client.get(&format!("{FORMATION}/clock")).await.json(200);
    assert_eq!(shown["schedule"]["next_run_at"], "1970-01-01T00:04:00.000Z");
    let gone = house.client.patch(&format!("{FORMATION}/clock"), json!({ "schedule": null })).await.json(200);
    assert_eq!((&gone["schedule"], &gone["oneoff"]), (&Value::Null, &json!(true)));
}

#[tokio::test]
async fn a_run_that_is_due_while_the_last_one_runs_is_left_out_made_or_takes_its_place() {
    for (overlap, made, running) in [("skip", 1, 1), ("allow", 2, 2), ("replace", 2, 1)] {
        let house = House::released(&[]).await;
        scheduled(&house, overlap).await;
        house.advance(50).await;
        house.wait("it was run", || async { runs(&house).await == (1, 1) }).await;
        house.advance(60).await;
        let next = json!("1970-01-01T00:03:00.000Z");
        house
            .wait("the second one was due", || async {
                house.client.get(&format!("{FORMATION}/clock")).await.json(200)["schedule"]["next_run_at"]
                    == next
            })
            .await;
        house.wait(overlap, || async { runs(&house).await == (made, running) }).await;
        let skipped = house.skipped().await;
        assert_eq!(skipped.len(), usize::from(overlap == "skip"), "{skipped:?}");
    }
}

#[tokio::test]
async fn runs_that_were_missed_while_the_daemon_was_away_are_told_once_and_a_fresh_one_is_made_up_for() {
    let mut house = House::released(&[]).await;
    scheduled(&house, "skip").await;
    house.stop_reconciler().await;
    house.clock.advance(std::time::Duration::from_hours(5));
    house.start_reconciler().await;
    house.wait("it was told", || async { house.skipped().await.len() == 1 }).await;
    let told = house.skipped().await;
    assert!(told.iter().all(|told| told.contains("missed")), "{told:?}");
    assert_eq!(runs(&house).await.0, 0);

    house.stop_reconciler().await;
    // It is due at the next full minute, and the daemon is back half a minute later.
    house.clock.advance(std::time::Duration::from_secs(80));
    house.start_reconciler().await;
    house.wait("it was made up for", || async { runs(&house).await == (1, 1) }).await;
    assert_eq!(house.skipped().await.len(), 1);
}

#[tokio::test]
async fn a_schedule_that_cannot_be_is_refused() {
    let house = House::released(&[]).await;
    for (schedule, word) in [
        (json!({ "cron": "61 * * * *" }), "61 * * * *"),
        (json!({ "cron": "* * * * *", "time_zone": "Mars/Olympus" }), "Mars/Olympus"),
        (json!({ "cron": "* * * * *", "overlap": "often" }), "often"),
        (json!({ "cron": "0 0 31 2 *" }), "31 2"),
    ] {
        let body = json!({ "type": "clock", "command": "tick", "schedule": schedule });
        let message = house.client.post(FORMATION, body).await.error(422);
        assert!(message.contains(word), "{message}");
    }
    let web = json!({ "type": "web", "schedule": { "cron": "* * * * *" } });
    house.client.post(FORMATION, web).await.error(422);
}
