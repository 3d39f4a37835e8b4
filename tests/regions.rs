//! Regions, walked as the document shows them.

use serde_json::{Value, json};

use crate::support::{TestDaemon, assert_shape};

fn documented() -> Value {
    json!({
        "country": "United States",
        "created_at": "2016-07-01T12:00:00Z",
        "description": "United States",
        "id": "a91d7641-a61e-fb09-654e-2def7c9f162d",
        "locale": "seattle",
        "name": "us-seattle",
        "private_capable": true,
        "provider": {
            "name": "amazon-web-services",
            "region": "us-west-2",
            "availability_zones": ["us-west-2a"]
        },
        "high_availiability": true,
        "updated_at": "2016-07-01T12:00:00Z",
        // Spelt right beside the document's spelling.
        "high_availability": true
    })
}

#[tokio::test]
async fn list_regions_and_view_region_as_documented() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    let all = client.get("/regions").await.json(200);
    assert_shape(&json!([documented()]), &all, &[]);
    assert_eq!((&all[0]["name"], &all[0]["locale"]), (&json!("us-seattle"), &json!("seattle")));
    let id = "f5f1d4d9-aa4a-12aa-bec3-d44af53b59e3";
    for named in ["us-seattle", "US-Seattle", id] {
        assert_eq!(client.get(&format!("/regions/{named}")).await.json(200), all[0], "{named}");
    }
    client.get("/regions/nowhere").await.error(404);
}
