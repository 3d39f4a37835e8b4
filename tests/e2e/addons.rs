//! Addons on the engine: a real `PostgreSQL`, Redis, `MariaDB` and Memcached, and what is left of them whatever happens.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::docker::docker;
use crate::support::mariadb;
use crate::support::services::{add, catalogue, deploy, hears, provisioned};
use crate::support::wait_until;

const LIMIT: Duration = Duration::from_secs(90);

async fn start() -> Daemon {
    Daemon::start_prepared(&[], |data| std::fs::write(data.join("catalogue.toml"), catalogue()).unwrap())
        .await
}

/// The containers of addons that run.
fn instances(daemon: &Daemon) -> Vec<String> {
    let filter = daemon.label();
    let listed = docker(&["ps", "-q", "--no-trunc", "--filter", &filter, "--filter", "label=akkeris.addon"]);
    listed.lines().map(str::to_owned).collect()
}

/// Waits until a backup's part has ended well; gives the backup.
async fn succeeded(client: &Client, path: &str, part: &str) -> Value {
    wait_until(&format!("{part} of {path} succeeds"), LIMIT, || async {
        let (_, backup) = client.try_send("GET", path, None).await?;
        let status = backup.pointer(part).and_then(Value::as_str).unwrap_or("none").to_owned();
        assert_ne!(status, "failed", "{backup}");
        if status == "succeeded" { Ok(backup) } else { Err(backup.to_string()) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_keeps_its_data_through_crashes_is_shared_saved_restored_and_removed() {
    let mut daemon = start().await;
    let client = daemon.client();
    client.create_space("other").await;
    let app = deploy(&client, "writer", "default").await;
    let far = deploy(&client, "far", "other").await;
    let addon = add(&client, &app, "alamo-postgresql:hobby").await;
    let name = addon["name"].as_str().unwrap().to_owned();
    hears(&daemon, &app, "query?create+table+t(v+text);insert+into+t+values('one')+returning+v", "one").await;
    let host = format!("{name}.addons:5432");
    hears(&daemon, &app, &format!("connect?{host}"), "reached").await;
    is_apart(&daemon, &far, &host).await;

    daemon.restart().await;
    let client = daemon.client();
    let before = instances(&daemon);
    docker(&["kill", &before[0]]);
    hears(&daemon, &app, "query?select+v+from+t", "one").await;
    docker(&["rm", "-f", &instances(&daemon)[0]]);
    hears(&daemon, &app, "query?select+v+from+t", "one").await;

    let attached = client
        .send(
            "POST",
            &format!("/apps/{far}/addon-attachments"),
            Some(json!({"addon": addon["id"], "app": far})),
            201,
        )
        .await;
    hears(&daemon, &far, "query?select+v+from+t", "one").await;
    let attachment = format!("/apps/{far}/addon-attachments/{}", attached["id"].as_str().unwrap());
    client.send("DELETE", &attachment, None, 200).await;
    wait_until("the space of the detached app is left", LIMIT, || async {
        match daemon.fetch(&far, &format!("/connect?{host}")).await? {
            (200, said) if said != "reached" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    is_apart(&daemon, &far, &host).await;

    client
        .send(
            "PATCH",
            &format!("/apps/{app}/addons/{name}"),
            Some(json!({"plan": "alamo-postgresql:small"})),
            200,
        )
        .await;
    provisioned(&client, &app, &name).await;
    let limit = docker(&["inspect", "-f", "{{.HostConfig.Memory}}", &instances(&daemon)[0]]);
    assert_eq!(limit, (512_u64 << 20).to_string());
    hears(&daemon, &app, "query?select+v+from+t", "one").await;

    comes_back_from_a_backup(&daemon, (&app, &name)).await;

    client.send("DELETE", &format!("/apps/{app}/addons/{name}"), None, 200).await;
    nothing_is_left(&daemon).await;
    let left = client.get(&format!("/apps/{app}/addons/{name}/backups")).await;
    let last = left.as_array().unwrap().last().unwrap();
    assert_eq!((&last["origin"], &last["status"]), (&json!("final"), &json!("succeeded")), "{left}");
}

/// A database whose table `t` has the value `one` is saved, changed, tried out and restored.
async fn comes_back_from_a_backup(daemon: &Daemon, (app, name): (&str, &str)) {
    let client = daemon.client();
    let backups = format!("/apps/{app}/addons/{name}/backups");
    let backup = client.send("POST", &backups, None, 201).await;
    let backup = format!("{backups}/{}", backup["id"].as_str().unwrap());
    let saved = succeeded(&client, &backup, "/status").await;
    assert!(saved["size"].as_u64().unwrap() > 500, "{saved}");
    hears(daemon, app, "query?update+t+set+v='two'+returning+v", "two").await;
    client.send("POST", &format!("{backup}/drills"), None, 201).await;
    let drilled = succeeded(&client, &backup, "/drill/status").await;
    assert!(drilled["drill"]["result"].as_str().unwrap().starts_with("1 tables"), "{drilled}");
    hears(daemon, app, "query?select+v+from+t", "two").await;
    client.send("POST", &format!("{backup}/restore"), Some(json!({})), 201).await;
    succeeded(&client, &backup, "/restores/0/status").await;
    hears(daemon, app, "query?select+v+from+t", "one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_memory_keeps_its_data_and_gets_that_of_a_backup() {
    let daemon = start().await;
    let client = daemon.client();
    let app = deploy(&client, "cacher", "default").await;
    let addon = add(&client, &app, "alamo-redis").await;
    let name = addon["name"].as_str().unwrap().to_owned();
    hears(&daemon, &app, "redis?incr+count", "1").await;
    docker(&["kill", "-s", "TERM", &instances(&daemon)[0]]);
    hears(&daemon, &app, "redis?get+count", "1").await;
    let backups = format!("/apps/{app}/addons/{name}/backups");
    let backup = client.send("POST", &backups, None, 201).await;
    let backup = format!("{backups}/{}", backup["id"].as_str().unwrap());
    succeeded(&client, &backup, "/status").await;
    hears(&daemon, &app, "redis?set+count+99", "OK").await;
    client.send("POST", &format!("{backup}/drills"), None, 201).await;
    let drilled = succeeded(&client, &backup, "/drill/status").await;
    assert_eq!(drilled["drill"]["result"], "1", "one key: {drilled}");
    client.send("POST", &format!("{backup}/restore"), Some(json!({})), 201).await;
    succeeded(&client, &backup, "/restores/0/status").await;
    hears(&daemon, &app, "redis?get+count", "1").await;
    assert_eq!(daemon.volumes().len(), 1, "the volume before the restore is gone");
    client.send("DELETE", &format!("/apps/{app}/addons/{name}"), None, 200).await;
    nothing_is_left(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_gets_back_what_it_had_and_nothing_else_and_a_memcached_holds_values() {
    let prepare =
        |data: &std::path::Path| std::fs::write(data.join("catalogue.toml"), mariadb::catalogue()).unwrap();
    let daemon = Daemon::start_prepared(&[], prepare).await;
    let client = daemon.client();
    let app = mariadb::deploy(&client, "keeper").await;
    let cache = add(&client, &app, "alamo-memcached").await;
    let addon = add(&client, &app, "alamo-mysql:hobby").await;
    let name = addon["name"].as_str().unwrap().to_owned();
    hears(&daemon, &app, "memcached?set+k+0+0+2%0D%0A42", "STORED").await;
    hears(&daemon, &app, "memcached?get+k", "VALUE k 0 2\r\n42\r\nEND").await;
    hears(&daemon, &app, "query?create+table+t+(v+text);insert+into+t+values+('one');select+v+from+t", "one")
        .await;
    let backups = format!("/apps/{app}/addons/{name}/backups");
    let backup = client.send("POST", &backups, None, 201).await;
    let backup = format!("{backups}/{}", backup["id"].as_str().unwrap());
    succeeded(&client, &backup, "/status").await;
    hears(&daemon, &app, "query?update+t+set+v='two';create+table+later+(v+text);select+v+from+t", "two")
        .await;
    client.send("POST", &format!("{backup}/drills"), None, 201).await;
    let drilled = succeeded(&client, &backup, "/drill/status").await;
    assert_eq!(drilled["drill"]["result"], "1 tables", "{drilled}");
    client.send("POST", &format!("{backup}/restore"), Some(json!({})), 201).await;
    succeeded(&client, &backup, "/restores/0/status").await;
    hears(&daemon, &app, "query?select+v+from+t;show+tables", "one\nt").await;
    for addon in [&name, cache["name"].as_str().unwrap()] {
        client.send("DELETE", &format!("/apps/{app}/addons/{addon}"), None, 200).await;
    }
    nothing_is_left(&daemon).await;
    let left = client.get(&backups).await;
    let last = left.as_array().unwrap().last().unwrap();
    assert_eq!((&last["origin"], &last["status"]), (&json!("final"), &json!("succeeded")), "{left}");
}

/// Neither by its name nor by any of its addresses does the app reach the addon.
async fn is_apart(daemon: &Daemon, app: &str, host: &str) {
    let named = daemon.fetch(app, &format!("/connect?{host}")).await.unwrap().1;
    assert!(named.starts_with("unknown"), "{named}");
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
    for address in docker(&["inspect", "-f", format, &instances(daemon)[0]]).split_whitespace() {
        let direct = daemon.fetch(app, &format!("/connect?{address}:5432")).await.unwrap().1;
        assert_eq!(direct, "refused", "{address} was reached");
    }
}

async fn nothing_is_left(daemon: &Daemon) {
    wait_until("no container and no volume of the addon is left", LIMIT, || async {
        let (instances, volumes) = (instances(daemon), daemon.volumes());
        if instances.is_empty() && volumes.is_empty() {
            Ok(())
        } else {
            Err(format!("{instances:?} {volumes:?}"))
        }
    })
    .await;
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_step_of_an_addon_carries_it_on_after_its_restart() {
    use akkerisd::model::journal::JournalStep;
    let mut daemon = start().await;
    let app = daemon.client().create_app("killed", "default").await;
    let steps = JournalStep::ALL.iter().filter(|step| {
        use JournalStep::{
            InstanceCreated, InstancePrepared, InstanceReady, InstanceRecorded, InstanceStarted,
        };
        [InstanceRecorded, InstanceCreated, InstanceStarted, InstancePrepared, InstanceReady].contains(step)
    });
    for step in steps {
        eprintln!("killing at {step}");
        daemon.kill_9();
        daemon.spawn(&[("AKKERISD_ABORT_AT", step.as_str())]);
        daemon.wait_for_api().await;
        let asked = daemon.client();
        let answer = asked
            .try_send("POST", &format!("/apps/{app}/addons"), Some(json!({"plan": "alamo-redis"})))
            .await;
        daemon.wait_for_end().await;
        daemon.spawn(&[]);
        daemon.wait_for_api().await;
        let client = daemon.client();
        let addons = client.get(&format!("/apps/{app}/addons")).await;
        let addon = addons.as_array().unwrap().last().unwrap_or_else(|| panic!("{step}: {answer:?}"));
        let name = addon["name"].as_str().unwrap();
        provisioned(&client, &app, name).await;
        assert_eq!((instances(&daemon).len(), daemon.volumes().len()), (1, 1), "{step}");
        client.send("DELETE", &format!("/apps/{app}/addons/{name}"), None, 200).await;
        nothing_is_left(&daemon).await;
    }
}
