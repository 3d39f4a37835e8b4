//! The store: what an answered write promises.

use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::model::account::Role;
use akkerisd::model::event::Event;
use akkerisd::model::ids::{OrganizationId, TokenId, deterministic};
use akkerisd::model::names::OrganizationName;
use akkerisd::model::organization::Organization;
use akkerisd::model::principal::Principal;
use akkerisd::model::time::Timestamp;
use akkerisd::store::{self, Store, StoreError};

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(&dir.path().join("akkerisd.db"), Clock::manual(Timestamp::from_millis(1_000))).unwrap()
}

fn organization(name: &str) -> Organization {
    Organization {
        id: OrganizationId::new(deterministic(name)),
        name: OrganizationName::parse(name).unwrap(),
        description: String::new(),
        created_at: Timestamp::from_millis(1),
        updated_at: Timestamp::from_millis(1),
    }
}

async fn names(store: &Store) -> Vec<String> {
    let all = store.read(store::organizations::list).await.unwrap();
    all.into_iter().map(|organization| organization.name.to_string()).collect()
}

#[tokio::test]
async fn an_answered_write_is_there_after_the_database_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store
        .write(&Principal::daemon(), |tx| store::organizations::insert(tx, &organization("one")))
        .await
        .unwrap();
    assert!(store.close(Duration::from_secs(5)).await);
    assert_eq!(names(&open(&dir)).await, ["one"]);
}

#[tokio::test]
async fn a_failing_or_panicking_write_rolls_back_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let author = Principal::daemon();
    let good = store.write(&author, |tx| store::organizations::insert(tx, &organization("good")));
    let failing = store.write(&author, |tx| {
        store::organizations::insert(tx, &organization("bad"))?;
        Err::<(), _>(StoreError::Closed)
    });
    let panicking = store.write::<(), StoreError, _>(&author, |tx| {
        store::organizations::insert(tx, &organization("worse"))?;
        panic!("a bug in a write");
    });
    let (good, failing, panicking) = tokio::join!(good, failing, panicking);
    good.unwrap();
    assert!(matches!(failing, Err(StoreError::Closed)));
    assert!(matches!(panicking, Err(StoreError::Panicked)));
    assert_eq!(names(&store).await, ["good"]);
}

#[tokio::test]
async fn a_full_disk_undoes_a_shared_commit_and_nobody_is_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let author = Principal::daemon();
    let (begins, began) = tokio::sync::oneshot::channel();
    let (go, waits) = std::sync::mpsc::channel();
    // The others wait behind it, and so share a commit.
    let first = store.write(&author, move |tx| {
        begins.send(()).unwrap();
        tx.execute_batch("CREATE TABLE big (content BLOB) STRICT")?;
        waits.recv_timeout(Duration::from_secs(30)).unwrap();
        Ok::<_, StoreError>(())
    });
    let before = store.write(&author, |tx| store::organizations::insert(tx, &organization("before")));
    let full = store.write(&author, |tx| {
        tx.query_row("PRAGMA max_page_count = 1", [], |_| Ok(()))?;
        tx.execute("INSERT INTO big VALUES (zeroblob(10000000))", [])?;
        Ok::<_, StoreError>(())
    });
    let after = store.write(&author, |tx| {
        tx.query_row("PRAGMA max_page_count = 1000000", [], |_| Ok(()))?;
        store::organizations::insert(tx, &organization("after"))
    });
    let others = async {
        began.await.unwrap();
        tokio::join!(before, full, after, async { go.send(()).unwrap() })
    };
    let (first, (before, full, after, ())) = tokio::join!(first, others);
    first.unwrap();
    assert!(matches!(before, Err(StoreError::Undone)), "{before:?}");
    assert!(matches!(full, Err(StoreError::Full(_))), "{full:?}");
    after.unwrap();
    assert_eq!(names(&store).await, ["after"]);
}

#[tokio::test]
async fn a_panicking_read_fails_alone_and_costs_no_reader() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for _ in 0..8 {
        let panicking = store.read::<(), StoreError, _>(|_| panic!("a bug in a query"));
        assert!(matches!(panicking.await, Err(StoreError::Panicked)));
    }
    assert!(names(&store).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_commit_falls_between_the_statements_of_one_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let (runtime, writing) = (tokio::runtime::Handle::current(), store.clone());
    let seen = store.read(move |c| {
        let before = store::organizations::list(c)?.len();
        let author = Principal::daemon();
        let write = writing.write(&author, |tx| store::organizations::insert(tx, &organization("new")));
        runtime.block_on(write)?;
        Ok::<_, StoreError>((before, store::organizations::list(c)?.len()))
    });
    assert_eq!(seen.await.unwrap(), (0, 0));
    assert_eq!(names(&store).await, ["new"], "the next read sees it");
}

#[tokio::test]
async fn a_second_row_of_the_same_name_is_told_apart_from_other_faults() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let author = Principal::daemon();
    let insert = || store.write(&author, |tx| store::organizations::insert(tx, &organization("one")));
    insert().await.unwrap();
    assert!(matches!(insert().await, Err(StoreError::Exists(_))));
}

#[tokio::test]
async fn an_event_is_published_after_its_commit_and_never_after_a_roll_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let mut events = store.subscribe();
    let kept = TokenId::new(deterministic("kept"));
    let lost = TokenId::new(deterministic("lost"));
    let author = Principal::daemon();
    let failed = store.write(&author, move |tx| {
        tx.record(Event::TokenCreated { token: lost })?;
        Err::<(), _>(StoreError::Closed)
    });
    assert!(failed.await.is_err());
    store
        .write(&Principal::daemon(), move |tx| tx.record(Event::TokenCreated { token: kept }))
        .await
        .unwrap();
    assert_eq!(*events.recv().await.unwrap(), Event::TokenCreated { token: kept });
}

#[tokio::test]
async fn a_write_after_closing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    assert!(store.close(Duration::from_secs(5)).await);
    let author = Principal::daemon();
    let late = store.write(&author, |tx| store::organizations::insert(tx, &organization("late")));
    assert!(matches!(late.await, Err(StoreError::Closed)));
}

/// A database as the release before accounts left it: its first ten migrations, two organizations, three tokens.
fn before_accounts(path: &std::path::Path) {
    const MIGRATIONS: [&str; 10] = [
        "0001_initial",
        "0002_stacks",
        "0003_release_statuses",
        "0004_audits",
        "0005_config_var_notes",
        "0006_formation_periods",
        "0010_pipelines",
        "0020_plugins",
        "0021_favorites",
        "0022_recommendations",
    ];
    #[expect(clippy::disallowed_methods, reason = "the store of today writes no old database")]
    let old = rusqlite::Connection::open(path).unwrap();
    for name in MIGRATIONS {
        let file = format!("{}/src/store/migrations/{name}.sql", env!("CARGO_MANIFEST_DIR"));
        old.execute_batch(&std::fs::read_to_string(file).unwrap()).unwrap();
    }
    old.execute_batch(
        "PRAGMA user_version = 10;
         INSERT INTO organizations (id, name, description, created_at, updated_at)
         VALUES (randomblob(16), 'first', '', 1, 1), (randomblob(16), 'second', '', 1, 1);
         INSERT INTO tokens (id, name, kind, user, hash, created_at)
         VALUES (randomblob(16), 'admin', 'admin', 'root', randomblob(32), 1),
                (randomblob(16), 'ci', 'personal', 'bob', randomblob(32), 2),
                (randomblob(16), 'proxy', 'service', 'robot', randomblob(32), 3);",
    )
    .unwrap();
}

#[tokio::test]
async fn who_used_an_installation_before_there_were_accounts_goes_on_in_every_organization() {
    let dir = tempfile::tempdir().unwrap();
    before_accounts(&dir.path().join("akkerisd.db"));
    let store = open(&dir);
    let accounts = store.read(store::accounts::list).await.unwrap();
    let roles: Vec<_> = accounts.iter().map(|account| (account.name.as_str(), account.role)).collect();
    assert_eq!(roles, [("root", Role::Owner), ("bob", Role::Member)]);
    let bob = accounts.last().unwrap().id;
    let organizations =
        store.read(move |c| store::organization_members::organizations_of(c, bob)).await.unwrap();
    assert_eq!(organizations.len(), 2);
    assert!(dir.path().join("akkerisd.db.v10").exists(), "a copy of before lies beside it");
}
