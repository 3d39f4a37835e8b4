//! What hooks can ask for.

use serde_json::json;

use crate::support::{TestDaemon, assert_shape};

#[tokio::test]
async fn list_hook_events_describes_all_fifteen() {
    let daemon = TestDaemon::start().await;
    let events = daemon.personal("alice").await.get("/docs/hooks").await.json(200);
    assert_shape(&json!([{ "type": "release", "description": "A release began." }]), &events, &[]);
    let events = events.as_array().unwrap();
    assert_eq!(events.len(), 15);
    assert!(events.iter().any(|event| event["type"] == "preview-released"));
}
