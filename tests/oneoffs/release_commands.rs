//! The command of a release, which runs before its dynos.

use serde_json::json;

use super::harness::House;
use crate::support::fake_engine::Call;

#[tokio::test]
async fn the_command_of_a_release_runs_once_before_its_dynos() {
    let house = House::released(&[]).await;
    let (old, _) = house.container("worker").await;
    let release = house.release(&[("release", "migrate --all")]).await;
    let (command, spec) = house.container("release").await;
    assert_eq!(spec.command, Some(["migrate", "--all"].map(str::to_owned).to_vec()));
    assert_eq!((spec.image.as_str(), spec.env["AKKERIS_RELEASE"].as_str()), ("sha256:2", "v2"));
    assert!(house.is_released(&release, "pending").await);
    let workers = |house: &House| {
        let all = house.engine().containers();
        all.into_iter()
            .filter(|(_, spec, _)| spec.process_type.as_str() == "worker")
            .map(|c| c.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(workers(&house), std::slice::from_ref(&old), "the old dyno runs alone");
    house.engine().die(&command, 0, false);
    house.wait("the release is up", || house.is_released(&release, "succeeded")).await;
    house
        .wait("the old dyno is replaced", || async {
            let now = workers(&house);
            now.len() == 1 && now != [old.clone()]
        })
        .await;
    assert_eq!(house.starts(spec.dyno.as_str()), 1);
    let formations = house.client.get("/apps/app/formation").await.json(200);
    assert!(formations.as_array().unwrap().iter().all(|formation| formation["type"] != "release"));
}

#[tokio::test]
async fn a_release_whose_command_fails_fails_with_its_output_and_the_old_dynos_run_on() {
    let house = House::released(&[]).await;
    let (old, _) = house.container("worker").await;
    let release = house.release(&[("release", "migrate")]).await;
    let (command, _) = house.container("release").await;
    house.engine().set_lines(&command, &["no such table"]);
    house.engine().die(&command, 1, false);
    house.wait("the release failed", || house.is_released(&release, "failed")).await;
    let shown = house.client.get(&format!("/apps/app/releases/{}", release.id)).await.json(200);
    let message = shown["failure_message"].as_str().unwrap();
    assert!(message.contains("exited with status 1") && message.contains("no such table"), "{message}");
    let workers: Vec<_> = house
        .engine()
        .containers()
        .into_iter()
        .filter(|(_, spec, _)| spec.process_type.as_str() == "worker")
        .collect();
    assert_eq!(workers.iter().map(|(id, ..)| id).collect::<Vec<_>>(), [&old]);
    let current = house.client.get("/apps/app/releases").await.json(200);
    assert_eq!((&current[0]["current"], &current[1]["current"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn the_container_of_an_older_command_is_removed_and_not_begun_again_while_a_newer_one_runs() {
    let mut house = House::released(&[]).await;
    let first = house.release(&[("release", "one")]).await;
    let (command, spec) = house.container("release").await;
    house.engine().die(&command, 0, false);
    house.wait("the release is up", || house.is_released(&first, "succeeded")).await;
    house.stop_reconciler().await;
    house.clock.advance(std::time::Duration::from_mins(5));
    house.release(&[("release", "two")]).await;
    house.start_reconciler().await;
    house
        .wait("the older container goes", || async {
            house.engine().containers().iter().all(|(id, ..)| *id != command)
        })
        .await;
    let calls = house.engine().calls();
    let begun = calls.iter().filter(|(call, about)| *call == Call::Start && about == command.as_str());
    assert_eq!((begun.count(), house.starts(spec.dyno.as_str())), (1, 1));
}

#[tokio::test]
async fn nothing_of_a_first_release_starts_when_its_command_fails() {
    let house = House::empty().await;
    let release = house.release(&[("release", "migrate")]).await;
    let (command, _) = house.container("release").await;
    house.engine().die(&command, 1, false);
    house.wait("the release failed", || house.is_released(&release, "failed")).await;
    house.advance(30).await;
    house.wait("its container goes", || async { house.engine().containers().is_empty() }).await;
}

#[tokio::test]
async fn the_command_of_an_overtaken_release_is_stopped_before_that_of_the_newer_one_runs() {
    let house = House::released(&[]).await;
    let old = house.release(&[("release", "slow")]).await;
    let (_, first) = house.container("release").await;
    let new = house.release(&[("release", "quick")]).await;
    house.wait("the older release failed", || house.is_released(&old, "failed")).await;
    house
        .wait("the newer command runs", || async {
            let (_, spec) = house.container("release").await;
            spec.dyno != first.dyno
        })
        .await;
    let running = house.engine().containers().into_iter().filter(|(_, spec, state)| {
        spec.process_type.as_str() == "release"
            && matches!(state, akkerisd::engine::ContainerState::Running { .. })
    });
    assert!(running.count() <= 1, "two commands of releases run at the same time");
    let (command, _) = house.container("release").await;
    house.engine().die(&command, 0, false);
    house.wait("the newer release is up", || house.is_released(&new, "succeeded")).await;
}

#[tokio::test]
async fn a_daemon_that_ends_while_the_command_of_a_release_runs_neither_forgets_nor_repeats_it() {
    for code in [0, 2] {
        let mut house = House::released(&[]).await;
        let release = house.release(&[("release", "migrate")]).await;
        let (command, spec) = house.container("release").await;
        house.stop_reconciler().await;
        house.engine().die(&command, code, false);
        house.start_reconciler().await;
        let status = if code == 0 { "succeeded" } else { "failed" };
        house.wait("the release tells the truth", || house.is_released(&release, status)).await;
        assert_eq!(house.starts(spec.dyno.as_str()), 1);
        assert_eq!(
            house.engine().calls().iter().filter(|(_, about)| about.starts_with("release")).count(),
            0
        );
    }
}
