//! Backups of addons on this host's engine, through the API: made, shown, used, and gone when their time is over.

use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::model::addon::{Addon, AddonState};
use akkerisd::model::addon_instance::InstancePhase;
use akkerisd::model::time::Timestamp;
use serde_json::{Value, json};

use crate::instances::harness::{House, LIMIT, SERVICE};
use crate::support::TestDaemon;
use crate::support::fake_engine::Call;
use crate::support::wait::wait_until;

/// A service whose backups are files of a new volume.
fn of_files() -> String {
    let files = "restore_file = [{ path = \"a/data\" }, { path = \"a/list\", content = \"+list\" }]";
    SERVICE.replace("restore = [\"restore\"]", files)
}

/// A house with a provisioned addon that has these rows.
async fn with_rows(house: &House, rows: &str) -> Addon {
    house.addon("one", "default").await;
    let addon = house.until_state("one", AddonState::Provisioned).await;
    house.engine().instances.fill(addon.id, rows);
    addon
}

fn path(addon: &Addon, rest: &str) -> String {
    format!("/apps/one-default/addons/{}/backups{rest}", addon.name)
}

/// The backup once it is as wanted.
async fn until(house: &House, addon: &Addon, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let path = path(addon, &format!("/{id}"));
    wait_until("the backup is as wanted", LIMIT, async || {
        let backup = house.daemon.admin().get(&path).await.json(200);
        wanted(&backup).then_some(backup)
    })
    .await
}

async fn backed_up(house: &House, addon: &Addon) -> String {
    let made = house.daemon.admin().post(&path(addon, ""), json!({})).await.json(201);
    assert_eq!(made.get("status").zip(made.get("origin")), Some((&json!("pending"), &json!("manual"))));
    let id = text(&made, "/id");
    let ended = until(house, addon, &id, |backup| backup["status"] != "pending").await;
    assert_eq!(text(&ended, "/status"), "succeeded", "{ended}");
    id
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap().to_owned()
}

fn content(house: &House) -> Vec<String> {
    house.engine().instances.volumes().into_iter().map(|(_, content)| content).collect()
}

#[tokio::test]
async fn create_addon_backup_saves_what_the_addon_has_and_read_addon_backup_gives_it() {
    let house = House::start().await;
    let addon = with_rows(&house, "rows").await;
    let mut events = house.daemon.events().await;
    let id = backed_up(&house, &addon).await;
    assert_eq!(events.kinds_so_far().await, ["addon_backup_created", "addon_backup_finished"]);
    let backup = house.daemon.admin().get(&path(&addon, &format!("/{id}"))).await.json(200);
    assert_eq!(
        (&backup["size"], &backup["drill"], &backup["restores"]),
        (&json!(4), &Value::Null, &json!([]))
    );
    let answer = house.daemon.admin().get(&path(&addon, &format!("/{id}/content"))).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, b"rows".as_slice()));
    assert_eq!(answer.headers["content-length"], "4");
}

#[tokio::test]
async fn read_addon_backup_of_one_that_failed_is_refused_and_view_addon_backup_tells_why() {
    let house = House::start().await;
    let addon = with_rows(&house, "rows").await;
    house.engine().instances.answer("dump", 4, "no disk");
    let made = house.daemon.admin().post(&path(&addon, ""), json!({})).await.json(201);
    let id = made["id"].as_str().unwrap();
    let failed = until(&house, &addon, id, |backup| backup["status"] != "pending").await;
    assert_eq!(failed["failure_message"], "dump ended with 4: no disk");
    let files = std::fs::read_dir(house.daemon.dir.path().join("backups")).unwrap();
    assert_eq!(files.count(), 0, "part of a dump is kept");
    house.daemon.admin().get(&path(&addon, &format!("/{id}/content"))).await.json(409);
    house.daemon.admin().post(&path(&addon, &format!("/{id}/restore")), json!({})).await.json(409);
    house.daemon.admin().get(&path(&addon, "/nonsense")).await.json(404);
}

#[tokio::test]
async fn create_addon_backup_of_a_service_without_backups_is_refused() {
    let house = House::start().await;
    house
        .daemon
        .admin()
        .post("/apps", json!({"org": "akkeris", "name": "one", "space": "default"}))
        .await
        .json(201);
    let made = house
        .daemon
        .admin()
        .post("/apps/one-default/addons", json!({"plan": "securekey:monthly"}))
        .await
        .json(201);
    let path = format!("/apps/one-default/addons/{}/backups", made["name"].as_str().unwrap());
    let refused = house.daemon.admin().post(&path, json!({})).await.json(409);
    assert!(refused["message"].as_str().unwrap().contains("securekey have no backups"), "{refused}");
    assert_eq!(house.daemon.admin().get(&path).await.json(200), json!([]));
}

#[tokio::test]
async fn list_addon_backups_oldest_first_and_delete_addon_backup_removes_its_file() {
    let house = House::start().await;
    let addon = with_rows(&house, "rows").await;
    let (one, two) = (backed_up(&house, &addon).await, backed_up(&house, &addon).await);
    let listed = house.daemon.admin().get(&path(&addon, "")).await.json(200);
    let ids: Vec<&str> =
        listed.as_array().unwrap().iter().map(|backup| backup["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [one.as_str(), two.as_str()]);
    house.daemon.admin().delete(&path(&addon, &format!("/{one}"))).await.json(200);
    house.daemon.admin().get(&path(&addon, &format!("/{one}"))).await.json(404);
    let folder = house.daemon.dir.path().join("backups");
    wait_until("one file is left", LIMIT, async || {
        let files: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
        (files == [two.as_str()]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn create_addon_backup_restore_gives_the_addon_what_it_had() {
    let house = House::start().await;
    let addon = with_rows(&house, "before").await;
    let id = backed_up(&house, &addon).await;
    house.engine().instances.fill(addon.id, "after");
    house.daemon.admin().post(&path(&addon, &format!("/{id}/restore")), json!({})).await.json(201);
    let restored = until(&house, &addon, &id, |backup| backup["restores"][0]["status"] != "pending").await;
    assert_eq!(restored["restores"][0]["status"], "succeeded", "{restored}");
    assert_eq!(restored["restores"][0]["result"], "before");
    assert_eq!(restored["restores"][0]["addon"]["id"], json!(addon.id.to_string()));
    assert_eq!(content(&house), ["before"]);
}

#[tokio::test]
async fn create_addon_backup_restore_of_a_service_that_reads_files_gives_the_addon_a_new_volume() {
    let house = House::of(TestDaemon::start().await, &of_files()).await;
    let addon = with_rows(&house, "before").await;
    let id = backed_up(&house, &addon).await;
    house.engine().instances.fill(addon.id, "after");
    house.daemon.admin().post(&path(&addon, &format!("/{id}/restore")), json!({})).await.json(201);
    let restored = until(&house, &addon, &id, |backup| backup["restores"][0]["status"] != "pending").await;
    assert_eq!(restored["restores"][0]["result"], "before+list", "{restored}");
    wait_until("the old volume is gone", LIMIT, async || (content(&house) == ["before+list"]).then_some(()))
        .await;
    house.running(addon.id).await;
    assert_eq!(house.engine().instances.all().len(), 1);
}

#[tokio::test]
async fn create_addon_backup_restore_into_another_addon_of_the_service_and_no_other_service() {
    let house = House::start().await;
    let addon = with_rows(&house, "of one").await;
    let id = backed_up(&house, &addon).await;
    house.addon("two", "other").await;
    let other = house.until_state("two", AddonState::Provisioned).await;
    let restore = path(&addon, &format!("/{id}/restore"));
    house.daemon.admin().post(&restore, json!({"addon": other.name.as_str()})).await.json(201);
    until(&house, &addon, &id, |backup| backup["restores"][0]["status"] == "succeeded").await;
    assert_eq!(content(&house), ["of one", "of one"]);
    let key =
        house.daemon.admin().post("/apps/one-default/addons", json!({"plan": "securekey:monthly"})).await;
    let key = key.json(201)["name"].as_str().unwrap().to_owned();
    let made = format!("/apps/one-default/addons/{key}");
    wait_until("the key is made", LIMIT, async || {
        let key = house.daemon.admin().get(&made).await.json(200);
        (key["state"] == "provisioned").then_some(())
    })
    .await;
    let refused = house.daemon.admin().post(&restore, json!({"addon": key})).await.json(409);
    assert!(refused["message"].as_str().unwrap().contains("restore it into one of db"), "{refused}");
}

#[tokio::test]
async fn create_addon_backup_drill_shows_what_was_found_and_leaves_nothing() {
    for service in [SERVICE.to_owned(), of_files()] {
        let house = House::of(TestDaemon::start().await, &service).await;
        let addon = with_rows(&house, "rows").await;
        let id = backed_up(&house, &addon).await;
        house.engine().instances.fill(addon.id, "later");
        house.daemon.admin().post(&path(&addon, &format!("/{id}/drills")), json!({})).await.json(201);
        let drilled = until(&house, &addon, &id, |backup| backup["drill"]["status"] == "succeeded").await;
        assert!(drilled["drill"]["result"].as_str().unwrap().starts_with("rows"), "{drilled}");
        assert_eq!(content(&house), ["later"]);
        assert_eq!(house.engine().instances.all().len(), 1);
    }
}

#[tokio::test]
async fn create_addon_backup_drill_of_a_spoilt_file_fails() {
    let house = House::start().await;
    let addon = with_rows(&house, "rows").await;
    let id = backed_up(&house, &addon).await;
    std::fs::write(house.daemon.dir.path().join("backups").join(&id), "r0ws").unwrap();
    house.daemon.admin().post(&path(&addon, &format!("/{id}/drills")), json!({})).await.json(201);
    let drilled = until(&house, &addon, &id, |backup| backup["drill"]["status"] == "failed").await;
    assert!(drilled["drill"]["result"].as_str().unwrap().contains("digest differs"), "{drilled}");
    assert_eq!(house.engine().count(Call::CreateInstance), 1);
}

#[tokio::test]
async fn the_schedule_of_the_plan_makes_backups_keeps_the_newest_and_has_them_tried_out() {
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let house = House::of(TestDaemon::at(clock.clone()).await, SERVICE).await;
    let addon = with_rows(&house, "rows").await;
    let mut seen = Vec::new();
    // From 8:00 to half past 3, between the backup and the drill of the plan.
    clock.advance(Duration::from_mins(19 * 60 + 30));
    for _ in 0..3 {
        house.backups.wake();
        let newest = wait_until("another backup is made", LIMIT, async || {
            let all = house.daemon.admin().get(&path(&addon, "")).await.json(200);
            let newest = all.as_array().unwrap().last().cloned()?;
            (newest["status"] == "succeeded" && !seen.contains(&newest["id"])).then_some(newest)
        })
        .await;
        assert_eq!((&newest["origin"], &newest["drill"]), (&json!("scheduled"), &Value::Null));
        let id = newest["id"].as_str().unwrap();
        clock.advance(Duration::from_hours(1));
        house.backups.wake();
        until(&house, &addon, id, |backup| backup["drill"]["status"] == "succeeded").await;
        seen.push(newest["id"].clone());
        clock.advance(Duration::from_hours(23));
    }
    wait_until("two are kept", LIMIT, async || {
        house.backups.wake();
        let all = house.daemon.admin().get(&path(&addon, "")).await.json(200);
        (all.as_array().unwrap().len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_deleted_addon_leaves_a_last_backup_for_seven_days_and_nothing_else() {
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let house = House::of(TestDaemon::at(clock.clone()).await, SERVICE).await;
    let addon = with_rows(&house, "last words").await;
    house.delete(addon.id).await;
    house.until_nothing_is_left().await;
    let all = house.daemon.admin().get(&path(&addon, "")).await.json(200);
    assert_eq!(
        (&all[0]["origin"], &all[0]["status"], all.as_array().unwrap().len()),
        (&json!("final"), &json!("succeeded"), 1)
    );
    let id = all[0]["id"].as_str().unwrap();
    let saved = house.daemon.admin().get(&path(&addon, &format!("/{id}/content"))).await;
    assert_eq!(saved.body, b"last words");
    let new = house.another_addon("one", "default").await;
    house.until_phase(new.id, InstancePhase::Ready).await;
    house.until_idle().await;
    let restore = path(&addon, &format!("/{id}/restore"));
    house.daemon.admin().post(&restore, json!({})).await.json(404);
    house.daemon.admin().post(&restore, json!({"addon": new.id.to_string()})).await.json(201);
    until(&house, &addon, id, |backup| backup["restores"][0]["status"] == "succeeded").await;
    assert_eq!(content(&house), ["last words"]);
    clock.advance(Duration::from_hours(8 * 24));
    house.backups.wake();
    wait_until("the last backup is gone", LIMIT, async || {
        let saved = std::fs::exists(house.daemon.dir.path().join("backups").join(id)).unwrap();
        (!saved).then_some(())
    })
    .await;
}

#[tokio::test]
async fn backups_of_a_deleted_addon_s_schedule_go_after_seven_days_too() {
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let house = House::of(TestDaemon::at(clock.clone()).await, SERVICE).await;
    let addon = with_rows(&house, "rows").await;
    clock.advance(Duration::from_mins(19 * 60 + 30));
    house.backups.wake();
    let all =
        async || house.daemon.admin().get(&path(&addon, "")).await.json(200).as_array().unwrap().clone();
    wait_until("the schedule's backup is made", LIMIT, async || {
        all().await.iter().any(|backup| backup["status"] == "succeeded").then_some(())
    })
    .await;
    house.delete(addon.id).await;
    house.until_nothing_is_left().await;
    assert_eq!(all().await.len(), 2);
    house.backups.wake();
    wait_until("it has an end", LIMIT, async || {
        all().await.iter().all(|backup| backup["expires_at"].is_string()).then_some(())
    })
    .await;
    clock.advance(Duration::from_hours(8 * 24));
    house.backups.wake();
    wait_until("nothing is left", LIMIT, async || (house.daemon.count("addon_backups") == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn an_addon_that_cannot_be_saved_is_removed_all_the_same() {
    let house = House::start().await;
    let addon = with_rows(&house, "rows").await;
    house.engine().instances.answer("dump", 1, "broken");
    house.delete(addon.id).await;
    house.until_nothing_is_left().await;
    let all = house.daemon.admin().get(&path(&addon, "")).await.json(200);
    assert_eq!(all[0]["failure_message"], "dump ended with 1: broken");
}
