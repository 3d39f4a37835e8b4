//! `spaces…`, `orgs…`, `regions` and `stacks`.

use serde_json::json;

use super::{Aka, assert_printable, list, strings, text};

#[tokio::test]
async fn spaces_and_spaces_info_read_places_and_tags() {
    let aka = Aka::with_app().await;
    for space in list(&aka.get("/spaces").await) {
        let info = aka.get(&format!("/spaces/{}", text(space, "name"))).await;
        for shown in [space, &info] {
            strings(shown, &["name", "id", "region.name", "stack.name", "state", "created_at", "updated_at"]);
            assert!(shown["compliance"].is_array() && shown["apps"].is_number(), "{shown}");
        }
    }
}

#[tokio::test]
async fn spaces_create_prints_the_space() {
    let aka = Aka::start().await;
    assert_printable(&aka.post("/spaces", json!({ "name": "one" })).await);
    let body =
        json!({ "name": "two", "description": "For tests", "compliance": ["pci", "canary"], "stack": "ds1" });
    assert_printable(&aka.post("/spaces", body).await);
    // With -i, which no region of one machine can give.
    let internal = json!({ "name": "three", "compliance": ["internal"] });
    assert!(aka.send(http::Method::POST, "/spaces", internal).await.error(409).contains("internal"));
}

#[tokio::test]
async fn orgs_orgs_info_and_orgs_create_read_and_print_organizations() {
    let aka = Aka::start().await;
    // The contact is left out of the first.
    for (name, description) in [("one", ""), ("two", "somebody@example.com")] {
        assert_printable(
            &aka.post("/organizations", json!({ "name": name, "description": description })).await,
        );
    }
    for organization in list(&aka.get("/organizations").await) {
        strings(organization, &["name", "id"]);
        assert_printable(&aka.get(&format!("/organizations/{}", text(organization, "name"))).await);
    }
}

#[tokio::test]
async fn regions_reads_names_and_places() {
    let aka = Aka::start().await;
    for region in list(&aka.get("/regions").await) {
        strings(region, &["name", "locale", "country"]);
        assert!(region["private_capable"].is_boolean(), "{region}");
    }
}

#[tokio::test]
async fn stacks_reads_names_regions_and_states() {
    let aka = Aka::start().await;
    for stack in list(&aka.get("/stacks").await) {
        strings(stack, &["name", "region.name", "state"]);
    }
}
