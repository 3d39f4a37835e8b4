//! Built-in addons on the scripted engine: what is made, healed, restored and removed.

pub(crate) mod harness;

use akkerisd::engine::EngineError;
use akkerisd::engine::instance::InstanceRole;
use akkerisd::model::addon::AddonState;
use akkerisd::model::addon_instance::InstancePhase;
use akkerisd::store;

use self::harness::{House, LIMIT};
use crate::support::fake_engine::Call;
use crate::support::wait::wait_until;

#[tokio::test]
async fn an_addon_gets_a_container_with_credentials_of_its_own_and_its_app_their_variables() {
    let house = House::start().await;
    let (one, two) = (house.addon("one", "default").await, house.addon("two", "default").await);
    for app in ["one", "two"] {
        house.until_state(app, AddonState::Provisioned).await;
    }
    let (first, second) = (house.variable("one", "DB_URL").await, house.variable("two", "DB_URL").await);
    assert!(first.starts_with("db://u") && first.contains(".addons:5432/d"), "{first}");
    assert_ne!(first, second);
    let instances = house.engine().instances.all();
    assert_eq!(instances.len(), 2);
    for addon in [&one, &two] {
        let (_, made) = instances.iter().find(|(_, one)| one.spec.addon == addon.id).unwrap();
        assert_eq!((made.spec.role, made.spec.memory_limit), (InstanceRole::Service, 64 << 20));
        assert_eq!(made.endpoints[0].network.as_str(), "fake-default");
        let password = &made.spec.env["PASSWORD"];
        let url = if addon.id == one.id { &first } else { &second };
        assert!(url.contains(&made.endpoints[0].alias) && url.contains(password.as_str()), "{url}");
        assert!(!house.daemon.disk().await.contains(password), "a password lies on the disk");
    }
    let setups =
        house.engine().calls().iter().filter(|(call, what)| *call == Call::Exec && what == "setup").count();
    assert_eq!(setups, 2, "each is set up once");
}

#[tokio::test]
async fn an_addon_whose_image_cannot_be_had_fails_with_the_reason_and_leaves_nothing() {
    let house = House::start().await;
    let reason = "there is no registry".to_owned();
    house.engine().fail_next(Call::Pull, EngineError::NoImage { image: "db:1".to_owned(), reason });
    house.addon("one", "default").await;
    let failed = house.until_state("one", AddonState::Failed).await;
    assert!(failed.reason.contains("there is no registry"), "{}", failed.reason);
    house.until_nothing_is_left().await;
}

#[tokio::test]
async fn an_addon_whose_program_ends_again_and_again_fails_and_leaves_nothing() {
    let house = House::start().await;
    house.engine().instances.answer("setup", 3, "no room for PASSWORD");
    house.addon("one", "default").await;
    let failed = house.until_state("one", AddonState::Failed).await;
    assert!(failed.reason.contains("setup ended with 3: no room"), "{}", failed.reason);
    house.until_nothing_is_left().await;
}

#[tokio::test]
async fn a_container_that_ends_is_started_again_and_one_that_is_gone_is_made_anew_with_its_volume() {
    let house = House::start().await;
    let addon = house.addon("one", "default").await;
    house.until_state("one", AddonState::Provisioned).await;
    house.engine().instances.fill(addon.id, "rows");
    let before = house.running(addon.id).await;
    house.engine().instances.die(&before);
    assert_eq!(house.running(addon.id).await, before);
    house.engine().instances.lose(&before);
    let after = house.running(addon.id).await;
    assert_ne!(after, before);
    let volumes = house.engine().instances.volumes();
    assert_eq!(volumes.len(), 1);
    assert_eq!(volumes[0].1, "rows");
}

#[tokio::test]
async fn an_instance_is_reachable_from_the_spaces_of_the_apps_that_use_it_and_no_other() {
    let house = House::start().await;
    let addon = house.addon("one", "default").await;
    house.until_state("one", AddonState::Provisioned).await;
    let near = house.app("near", "default").await;
    let far = house.app("far", "other").await;
    let attached = house.attach(addon.id, &far).await;
    house.until_networks(addon.id, &["fake-default", "fake-other"]).await;
    assert!(house.variable("far", "DB_URL").await.contains(".addons:"));
    let second = house.attach(addon.id, &near).await;
    house.detach(&attached).await;
    house.until_networks(addon.id, &["fake-default"]).await;
    house.detach(&second).await;
    house.until_idle().await;
    house.until_networks(addon.id, &["fake-default"]).await;
}

#[tokio::test]
async fn another_plan_gives_the_same_data_another_memory_limit() {
    let house = House::start().await;
    let addon = house.addon("one", "default").await;
    house.until_state("one", AddonState::Provisioned).await;
    house.engine().instances.fill(addon.id, "rows");
    let url = house.variable("one", "DB_URL").await;
    house.change_plan(addon.id, "db:large").await;
    house.until_state("one", AddonState::Provisioned).await;
    let instances = house.engine().instances.all();
    assert_eq!(instances.len(), 1);
    assert_eq!(instances[0].1.spec.memory_limit, 128 << 20);
    assert_eq!(house.engine().instances.volumes()[0].1, "rows");
    assert_eq!(house.variable("one", "DB_URL").await, url);
}

#[tokio::test]
async fn what_was_cut_off_at_any_call_is_carried_on_by_the_next_daemon() {
    for call in [Call::CreateInstance, Call::Start, Call::Exec, Call::EnsureNetwork] {
        let mut house = House::start().await;
        let unavailable = || EngineError::Unavailable("cut off".to_owned());
        (0..200).for_each(|_| house.engine().fail_next(call, unavailable()));
        let addon = house.addon("one", "default").await;
        house.until_phase(addon.id, InstancePhase::Making).await;
        house.restart().await;
        house.engine().heal(call);
        house.until_state("one", AddonState::Provisioned).await;
        assert_eq!(house.engine().instances.all().len(), 1, "{call:?}");
    }
}

#[tokio::test]
async fn containers_and_volumes_of_no_addon_are_removed() {
    let mut house = House::start().await;
    let addon = house.addon("one", "default").await;
    house.until_state("one", AddonState::Provisioned).await;
    house.stop().await;
    house.daemon.corrupt("DELETE FROM addon_instances");
    house.restart().await;
    house.until_nothing_is_left().await;
    assert!(house.engine().instances.all().iter().all(|(_, one)| one.spec.addon != addon.id));
}

#[tokio::test]
async fn what_belongs_to_an_addon_that_the_database_never_knew_is_left_alone() {
    let mut house = House::start().await;
    let addon = house.addon("one", "default").await;
    house.until_state("one", AddonState::Provisioned).await;
    house.stop().await;
    // As a copy of the database from before the addon was made.
    house.daemon.corrupt("PRAGMA foreign_keys = OFF; DELETE FROM addon_instances; DELETE FROM addon_attachments; DELETE FROM addons");
    house.restart().await;
    house.addon("two", "default").await;
    house.until_state("two", AddonState::Provisioned).await;
    let instances = &house.engine().instances;
    assert!(instances.all().iter().any(|(_, one)| one.spec.addon == addon.id));
    assert_eq!(instances.volumes().len(), 2);
}

#[tokio::test]
async fn a_volume_that_is_nearly_full_is_told_once_and_shown_until_it_is_not() {
    let house = House::start().await;
    let addon = house.addon("one", "default").await;
    house.until_state("one", AddonState::Provisioned).await;
    let mut events = house.daemon.events().await;
    let store = &house.daemon.state.store;
    let measured = async |kibibytes: u64| {
        house.engine().instances.fill(addon.id, &format!("{kibibytes}\t/data"));
        wait_until(&format!("{kibibytes} KiB are measured"), LIMIT, async || {
            house.volumes.wake();
            let found = store.look_up(|c| store::addon_volumes::find(c, addon.id)).unwrap();
            found.filter(|volume| volume.bytes == kibibytes << 10)
        })
        .await
    };
    assert!(!measured(900).await.is_nearly_full());
    for kibibytes in [950, 1200, 100, 960] {
        assert_eq!(measured(kibibytes).await.is_nearly_full(), kibibytes > 900);
    }
    assert_eq!(events.kinds_so_far().await, ["addon_volume_nearly_full"; 2]);
    let metrics = house.daemon.admin().get("/metrics").await;
    let text = String::from_utf8(metrics.body).unwrap();
    let labels = format!("app=\"one-default\",addon=\"{}\"", addon.name);
    for (name, value) in [("bytes", 960 << 10), ("limit_bytes", 1 << 20)] {
        let line = format!("akkerisd_addon_volume_{name}{{{labels}}} {value}");
        assert!(text.contains(&line), "{line}: {text}");
    }
    house.engine().instances.answer("usage", 1, "no such program");
    house.delete(addon.id).await;
    house.until_nothing_is_left().await;
    wait_until("it is forgotten", LIMIT, async || {
        house.volumes.wake();
        (house.daemon.count("addon_volumes") == 0).then_some(())
    })
    .await;
}
