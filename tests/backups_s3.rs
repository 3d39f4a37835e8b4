//! Backups of addons in S3: brought there, read from there, and gone there when their time is over, whatever the store
//! does meanwhile.

mod server;
mod signature;

use std::time::Duration;

use akkerisd::addons::backups::s3::{Pace, S3Storage};
use akkerisd::clock::Clock;
use akkerisd::config::S3Config;
use akkerisd::model::addon::{Addon, AddonState};
use akkerisd::model::ids::InstallationId;
use akkerisd::model::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use self::server::{BUCKET, Fault, Operation, S3Server};
use self::signature::{ACCESS_KEY_ID, REGION, SECRET};
use crate::instances::harness::{House, LIMIT, SERVICE};
use crate::support::TestDaemon;
use crate::support::wait::wait_until;

const ROWS: &str = "thirty bytes of a customer's rows";
const INSTALLATION: Uuid = Uuid::from_u128(7);
const NOW: i64 = 1_800_000_000_000;

/// A house whose backups are brought to a store.
struct Stored {
    house: House,
    server: S3Server,
    clock: Clock,
    addon: Addon,
}

impl Stored {
    async fn start(change: impl FnOnce(&mut S3Config)) -> Self {
        let clock = Clock::manual(Timestamp::from_millis(NOW));
        let server = S3Server::start(clock.clone()).await;
        let storage = storage(&server, &clock, change);
        let house = House::of(TestDaemon::with_s3(clock.clone(), storage).await, SERVICE).await;
        house.addon("one", "default").await;
        let addon = house.until_state("one", AddonState::Provisioned).await;
        house.engine().instances.fill(addon.id, ROWS);
        Self { house, server, clock, addon }
    }

    fn path(&self, rest: &str) -> String {
        format!("/apps/one-default/addons/{}/backups{rest}", self.addon.name)
    }

    async fn back_up(&self) -> String {
        let made = self.house.daemon.admin().post(&self.path(""), json!({})).await.json(201);
        made.get("id").and_then(Value::as_str).unwrap().to_owned()
    }

    /// The backup once it is as wanted. Pauses after failures are skipped.
    async fn until(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_until("the backup is as wanted", LIMIT, async || {
            self.house.backups.wake();
            let backup = self.house.daemon.admin().get(&self.path(&format!("/{id}"))).await.json(200);
            wanted(&backup).then_some(backup)
        })
        .await
    }

    /// A backup that was brought to the store.
    async fn stored(&self) -> String {
        let id = self.back_up().await;
        self.until(&id, |backup| backup["storage"] == "s3").await;
        id
    }

    async fn until_objects(&self, wanted: &[(String, &str)]) {
        wait_until(&format!("the store has {wanted:?}"), LIMIT, async || {
            self.house.backups.wake();
            let objects = self.server.objects();
            objects
                .iter()
                .map(|(key, content)| (key.clone(), content.as_str()))
                .eq(wanted.iter().cloned())
                .then_some(())
        })
        .await;
    }

    /// What lies on this machine.
    fn files(&self) -> usize {
        std::fs::read_dir(self.house.daemon.dir.path().join("backups")).unwrap().count()
    }
}

fn storage(server: &S3Server, clock: &Clock, change: impl FnOnce(&mut S3Config)) -> S3Storage {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let mut config = S3Config {
        endpoint: format!("http://{}", server.address),
        region: REGION.to_owned(),
        bucket: BUCKET.to_owned(),
        prefix: "of/this.machine".to_owned(),
        path_style: true,
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key_file: file,
        ca: None,
    };
    change(&mut config);
    let pace =
        Pace { part: 8, attempts: 3, pause: Duration::from_millis(1), limit: Duration::from_millis(500) };
    S3Storage::open(&config, Some(InstallationId::new(INSTALLATION)), (clock.clone(), pace)).unwrap()
}

fn key(id: &str) -> String {
    format!("of/this.machine/{INSTALLATION}/{id}")
}

#[tokio::test]
async fn a_backup_is_brought_to_s3_in_parts_read_restored_tried_out_and_deleted_there() {
    let stored = Stored::start(|_| {}).await;
    let id = stored.stored().await;
    stored.until_objects(&[(key(&id), ROWS)]).await;
    assert_eq!((stored.server.count(Operation::Part), stored.server.uploads().len()), (5, 0));
    wait_until("no file is left", LIMIT, async || (stored.files() == 0).then_some(())).await;
    let admin = stored.house.daemon.admin();
    let read = admin.get(&stored.path(&format!("/{id}/content"))).await;
    assert_eq!((read.status.as_u16(), read.body.as_slice()), (200, ROWS.as_bytes()));
    stored.house.engine().instances.fill(stored.addon.id, "after");
    admin.post(&stored.path(&format!("/{id}/restore")), json!({})).await.json(201);
    let restored = stored.until(&id, |backup| backup["restores"][0]["status"] != "pending").await;
    assert_eq!(restored["restores"][0]["result"], ROWS, "{restored}");
    admin.post(&stored.path(&format!("/{id}/drills")), json!({})).await.json(201);
    let drilled = stored.until(&id, |backup| backup["drill"]["status"] == "succeeded").await;
    assert_eq!(drilled["drill"]["result"], ROWS, "{drilled}");
    assert_eq!(stored.files(), 0);
    admin.delete(&stored.path(&format!("/{id}"))).await.json(200);
    stored.until_objects(&[]).await;
    assert_eq!(stored.house.daemon.count("removed_addon_backups"), 0);
    assert_eq!(stored.server.refused(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_small_backup_is_one_request_and_a_last_one_stays_for_seven_days() {
    let stored = Stored::start(|_| {}).await;
    stored.house.engine().instances.fill(stored.addon.id, "few");
    stored.house.delete(stored.addon.id).await;
    stored.house.until_nothing_is_left().await;
    let all = stored.house.daemon.admin().get(&stored.path("")).await.json(200);
    let id = all.pointer("/0/id").and_then(Value::as_str).unwrap();
    stored.until_objects(&[(key(id), "few")]).await;
    assert_eq!((stored.server.count(Operation::Put), stored.server.count(Operation::Begin)), (1, 0));
    stored.clock.advance(Duration::from_hours(8 * 24));
    stored.until_objects(&[]).await;
}

#[tokio::test]
async fn what_a_store_does_wrong_for_a_moment_is_done_again() {
    let stored = Stored::start(|_| {}).await;
    for (operation, fault) in [
        (Operation::ListUploads, Fault::Status(503, "SlowDown")),
        (Operation::Begin, Fault::Status(500, "InternalError")),
        (Operation::Part, Fault::Silence),
        (Operation::Part, Fault::Lost),
        (Operation::Part, Fault::Status(400, "RequestTimeout")),
        (Operation::Complete, Fault::Hidden),
        // It is complete, and nobody hears of it.
        (Operation::Complete, Fault::Lost),
        (Operation::Head, Fault::Lost),
        (Operation::Get, Fault::Status(503, "SlowDown")),
        (Operation::Get, Fault::Cut(3)),
        (Operation::Get, Fault::Cut(5)),
    ] {
        stored.server.fail(operation, fault);
    }
    let id = stored.stored().await;
    let read = stored.house.daemon.admin().get(&stored.path(&format!("/{id}/content"))).await;
    assert_eq!((read.status.as_u16(), read.body.as_slice()), (200, ROWS.as_bytes()));
    assert_eq!((stored.server.faults_left(), stored.server.uploads().len()), (0, 0));
    assert_eq!(stored.server.objects().len(), 1);
}

#[tokio::test]
async fn a_backup_stays_on_the_machine_with_the_reason_until_the_store_takes_it() {
    let stored = Stored::start(|_| {}).await;
    for _ in 0..100 {
        stored.server.fail(Operation::Part, Fault::Status(403, "AccessDenied"));
    }
    let id = stored.back_up().await;
    let waiting = stored.until(&id, |backup| backup["upload_failure"] != "").await;
    assert_eq!((&waiting["status"], &waiting["storage"]), (&json!("succeeded"), &json!("local")));
    let told = format!(
        "the S3 bucket \"{BUCKET}\" at {}: uploading: the server answered 403 AccessDenied: It is so.",
        stored.server.address
    );
    assert_eq!(waiting["upload_failure"], json!(told));
    let read = stored.house.daemon.admin().get(&stored.path(&format!("/{id}/content"))).await;
    assert_eq!(read.body, ROWS.as_bytes());
    wait_until("the upload is aborted", LIMIT, async || stored.server.uploads().is_empty().then_some(()))
        .await;
    stored.server.heal();
    let moved = stored.until(&id, |backup| backup["storage"] == "s3").await;
    assert_eq!(moved["upload_failure"], "");
}

#[tokio::test]
async fn a_backup_that_is_deleted_while_its_upload_fails_does_not_stay_in_the_store() {
    let stored = Stored::start(|_| {}).await;
    for _ in 0..3 {
        stored.server.fail(Operation::Head, Fault::Silence);
    }
    let id = stored.back_up().await;
    stored.until_objects(&[(key(&id), ROWS)]).await;
    stored.house.daemon.admin().delete(&stored.path(&format!("/{id}"))).await.json(200);
    stored.until_objects(&[]).await;
    assert_eq!(stored.server.faults_left(), 0, "it was deleted before the upload had failed");
}

#[tokio::test]
async fn a_store_that_keeps_less_than_it_says_does_not_get_the_only_copy() {
    let stored = Stored::start(|_| {}).await;
    stored.house.engine().instances.fill(stored.addon.id, "few");
    for _ in 0..100 {
        stored.server.fail(Operation::Put, Fault::Forgetful);
    }
    let id = stored.back_up().await;
    let waiting = stored.until(&id, |backup| backup["upload_failure"] != "").await;
    let told = waiting["upload_failure"].as_str().unwrap();
    assert!(told.ends_with("says that the object has 2 bytes, and it has 3"), "{told}");
    assert_eq!(waiting["storage"], "local");
    stored.server.heal();
    stored.until(&id, |backup| backup["storage"] == "s3").await;
    stored.until_objects(&[(key(&id), "few")]).await;
}

#[tokio::test]
async fn what_is_not_what_was_written_is_neither_restored_nor_read() {
    let stored = Stored::start(|_| {}).await;
    let id = stored.stored().await;
    stored.server.put(&key(&id), &ROWS.replace('t', "T"), NOW);
    let admin = stored.house.daemon.admin();
    admin.post(&stored.path(&format!("/{id}/restore")), json!({})).await.json(201);
    let failed = stored.until(&id, |backup| backup["restores"][0]["status"] == "failed").await;
    assert!(failed["restores"][0]["result"].as_str().unwrap().contains("digest differs"), "{failed}");
    stored.server.put(&key(&id), "short", NOW);
    let refused = admin.get(&stored.path(&format!("/{id}/content"))).await.json(503);
    assert!(refused["message"].as_str().unwrap().contains("has 5 bytes, and it has 33"), "{refused}");
    stored.server.put(&key(&id), ROWS, NOW);
    stored.server.fail(Operation::Get, Fault::Longer(2));
    let refused = admin.get(&stored.path(&format!("/{id}/content"))).await.json(503);
    assert!(refused["message"].as_str().unwrap().contains("has 35 bytes, and it has 33"), "{refused}");
    for _ in 0..3 {
        stored.server.fail(Operation::Get, Fault::Status(500, "InternalError"));
    }
    let refused = admin.get(&stored.path(&format!("/{id}/content"))).await.json(503);
    assert!(refused["message"].as_str().unwrap().contains("500 InternalError"), "{refused}");
}

#[tokio::test]
async fn a_killed_daemon_leaves_no_upload_and_no_object_that_nobody_knows() {
    let mut stored = Stored::start(|_| {}).await;
    // Within the third part, the daemon goes.
    for fault in [Fault::Lost, Fault::Silence, Fault::Silence, Fault::Silence] {
        stored.server.fail(Operation::Part, fault);
    }
    let id = stored.back_up().await;
    wait_until("it is uploaded", LIMIT, async || (stored.server.count(Operation::Part) >= 2).then_some(()))
        .await;
    stored.house.stop().await;
    assert_eq!(stored.server.uploads(), [key(&id)]);
    stored.server.heal();
    let (old, fresh) = (Uuid::from_u128(1).to_string(), Uuid::from_u128(2).to_string());
    let long_ago = NOW - 8 * 24 * 3_600_000;
    stored.server.put(&key(&old), "of nobody", long_ago);
    stored.server.put(&key(&fresh), "of a database that was restored", NOW);
    stored.server.put("of/this.machine/somebody-else", "of others", long_ago);
    stored.server.begin(&key(&old));
    stored.server.begin("of/this.machine/somebody-else");
    let left_over = stored.house.daemon.dir.path().join(format!("backups/{id}.x.part"));
    std::fs::write(left_over, "of a process that is gone").unwrap();
    stored.house.restart().await;
    stored.until(&id, |backup| backup["storage"] == "s3").await;
    stored.clock.advance(Duration::from_hours(2));
    wait_until("nothing is left here", LIMIT, async || {
        stored.house.backups.wake();
        (stored.files() == 0).then_some(())
    })
    .await;
    let mut left = [
        (key(&id), ROWS),
        (key(&fresh), "of a database that was restored"),
        ("of/this.machine/somebody-else".to_owned(), "of others"),
    ];
    left.sort_unstable();
    stored.until_objects(&left).await;
    assert_eq!(stored.server.uploads(), ["of/this.machine/somebody-else"]);
}

#[tokio::test]
async fn a_probe_leaves_nothing_and_says_what_is_wrong_without_the_secret() {
    let clock = Clock::system();
    let server = S3Server::start(clock.clone()).await;
    storage(&server, &clock, |_| {}).probe().await.unwrap();
    assert!(server.objects().is_empty() && server.uploads().is_empty());
    let wrong = |change: fn(&mut S3Config)| storage(&server, &clock, change);
    for (change, told) in [
        (
            (|config: &mut S3Config| config.bucket = "other".to_owned()) as fn(&mut S3Config),
            "404 NoSuchBucket",
        ),
        (|config| config.region = "elsewhere".to_owned(), "403 InvalidAccessKeyId"),
        (|config| config.access_key_id = "AKIDOTHER".to_owned(), "403 InvalidAccessKeyId"),
        (
            |config| std::fs::write(&config.secret_access_key_file, "wrong").unwrap(),
            "403 SignatureDoesNotMatch",
        ),
        (|config| config.endpoint = "http://127.0.0.1:1".to_owned(), "127.0.0.1:1"),
    ] {
        let error = wrong(change).probe().await.unwrap_err().to_string();
        assert!(error.contains(told) && error.contains("the S3 bucket"), "{told}: {error}");
        assert!(!error.contains(SECRET) && !error.contains("X-Amz"), "{error}");
    }
    let slow = Clock::manual(Clock::system().now().minus(Duration::from_hours(2)));
    let error = storage(&server, &slow, |_| {}).probe().await.unwrap_err().to_string();
    assert!(error.contains("403 AccessDenied"), "{error}");
    assert!(!format!("{:?}", storage(&server, &clock, |_| {})).contains(SECRET));
}
