//! The daemon dies at each journalled step of build, release and deletion; afterwards everything is as if it
//! had not: generated from the steps.

use std::time::Duration;

use akkerisd::model::journal::JournalStep;
use serde_json::json;

use crate::support::archive::Source;
use crate::support::client::all_ready;
use crate::support::daemon::Daemon;
use crate::support::wait_until;

/// Steps of the deletion of an app.
fn is_deletion(step: JournalStep) -> bool {
    matches!(step, JournalStep::AppDeleted | JournalStep::AppDynosRemoved | JournalStep::AppImagesRemoved)
}

/// Steps of an upgrade of the daemon; `upgrade.rs` tells of them.
fn is_upgrade(step: JournalStep) -> bool {
    use JournalStep::{ControlPlaneReleased, SuccessorPrepared, SuccessorReleased};
    matches!(step, SuccessorPrepared | ControlPlaneReleased | SuccessorReleased)
}

/// Steps of addons on this engine and of their backups; `addons.rs` tells of them.
fn is_of_addons(step: JournalStep) -> bool {
    step.as_str().starts_with("instance-") || step.as_str().starts_with("backup-")
}

/// Steps of the command that runs before the dynos of a release.
fn is_release_command(step: JournalStep) -> bool {
    matches!(step, JournalStep::OneOffEnding | JournalStep::OneOffEnded)
}

/// Steps of the order of a certificate, which `certificates` has a story of.
fn is_order(step: JournalStep) -> bool {
    matches!(
        step,
        JournalStep::AcmeOrderPlaced
            | JournalStep::AcmeChallengesReady
            | JournalStep::AcmeOrderFinalized
            | JournalStep::CertificateIssued
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_step_of_a_deployment_ends_it_after_its_restart() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("killed", "default").await;
    client.deploy(&app, &Source::version("base")).await;
    let of_deployment = |step: &&JournalStep| {
        !is_deletion(**step) && !is_order(**step) && !is_upgrade(**step) && !is_of_addons(**step)
    };
    for (number, step) in JournalStep::ALL.iter().filter(of_deployment).enumerate() {
        eprintln!("killing at {step}");
        let version = format!("v{number}");
        let before = client.last_release(&app).await.unwrap()["version"].as_u64().unwrap();
        daemon.kill_9();
        daemon.spawn(&[("AKKERISD_ABORT_AT", step.as_str())]);
        daemon.wait_for_api().await;
        // The daemon may die before it has answered, but not before the build is on disk.
        let mut source = Source::version(&version);
        if is_release_command(*step) {
            source = source.file("Procfile", "web: /dyno\nrelease: /dyno exit_code=0\n");
        }
        let answer = client.try_begin_build(&app, &source.tar_gz()).await;
        daemon.wait_for_end().await;
        daemon.spawn(&[]);
        daemon.wait_for_api().await;
        let build = match answer {
            Ok(build) => build,
            Err(_lost) => client.last_build(&app).await,
        };
        let (status, log) = client.finish_build(&app, &build).await;
        assert_eq!(status, "succeeded", "{step}: the acknowledged build is not lost: {log:#?}");
        let release = client.finish_release(&app, before + 1).await;
        assert_eq!(release["status"], "succeeded", "{step}: {release}");
        daemon.wait_for_answer(&app, "/", &version).await;
        client.wait_for_dynos(&app, "one dyno is left", all_ready(1)).await;
        wait_until("no orphan is left", Duration::from_secs(30), || async {
            let (containers, networks) = (daemon.containers(), daemon.networks());
            if containers.len() == 1 && networks.len() == 1 {
                Ok(())
            } else {
                Err(format!("{step}: {containers:?} {networks:?}"))
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_step_of_a_deletion_ends_it_after_its_restart() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let stays = client.create_app("stays", "default").await;
    client.deploy(&stays, &Source::version("stays")).await;
    let deletion = [JournalStep::DynoDraining, JournalStep::DynoStopped];
    let steps = JournalStep::ALL.iter().copied().filter(|step| is_deletion(*step)).chain(deletion);
    for (number, step) in steps.enumerate() {
        eprintln!("killing at {step}");
        let app = client.create_app(&format!("gone{number}"), "default").await;
        client.deploy(&app, &Source::version("gone")).await;
        daemon.kill_9();
        daemon.spawn(&[("AKKERISD_ABORT_AT", step.as_str())]);
        daemon.wait_for_api().await;
        // The daemon may die before it has answered; then the deletion was not acknowledged, and is asked for again.
        let _answer = client.try_send("DELETE", &format!("/apps/{app}"), None).await;
        daemon.wait_for_end().await;
        daemon.spawn(&[]);
        daemon.wait_for_api().await;
        let (status, _) = client.try_send("DELETE", &format!("/apps/{app}"), None).await.unwrap();
        assert!(status == 200 || status == 404, "{step}: {status}");
        wait_until("nothing of the app is left", Duration::from_secs(30), || async {
            let (containers, images) = (daemon.containers(), daemon.images());
            if containers.len() == 1 && images.len() == 1 {
                Ok(())
            } else {
                Err(format!("{step}: {containers:?} {images:?}"))
            }
        })
        .await;
        daemon.wait_for_answer(&stays, "/", "stays").await;
    }
    assert_eq!(client.get("/apps").await.as_array().unwrap().len(), 1);
    client.send("PATCH", &format!("/apps/{stays}"), Some(json!({"labels": "alive"})), 200).await;
}
