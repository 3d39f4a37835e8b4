//! `sites…` and `routes…`.

use serde_json::{Value, json};

use super::{Aka, assert_printable, at, list, strings, text};

const SITE: &str = "shop.example";

async fn with_site() -> Aka {
    let aka = Aka::with_app().await;
    let body = json!({ "region": "us-seattle", "domain": SITE, "internal": false });
    assert_printable(&aka.post("/sites", body).await);
    aka
}

/// `routes:create /x /y -a app-default -s shop.example`.
async fn with_route() -> (Aka, Value) {
    let aka = with_site().await;
    strings(&aka.get("/apps/app-default").await, &["web_url"]);
    let body = json!({ "app": "app-default", "site": SITE, "source_path": "/x", "target_path": "/y" });
    let route = aka.post("/apps/app-default/routes", body).await;
    (aka, route)
}

#[tokio::test]
async fn sites_and_sites_create_read_what_their_table_shows() {
    let aka = with_site().await;
    for site in list(&aka.get("/sites").await) {
        strings(site, &["domain", "id", "created_at"]);
        assert!(at(site, "compliance").is_array(), "the client joins it");
    }
}

#[tokio::test]
async fn sites_destroy_reads_the_domain_and_takes_the_site_away() {
    let aka = with_site().await;
    let path = format!("/sites/{SITE}");
    assert_eq!(text(&aka.get(&path).await, "domain"), SITE);
    assert_eq!(text(&aka.delete(&path).await.json(200), "domain"), SITE);
    assert_eq!(aka.get("/sites").await, json!([]));
}

#[tokio::test]
async fn routes_of_an_app_and_of_a_site_read_names_inside_objects() {
    let (aka, _) = with_route().await;
    for path in ["/apps/app-default/routes".to_owned(), format!("/sites/{SITE}/routes")] {
        for route in list(&aka.get(&path).await) {
            strings(route, &["id", "created_at", "source_path", "target_path", "app.name", "site.domain"]);
            let app = aka.get(&format!("/apps/{}", text(route, "app.name"))).await;
            strings(&app, &["web_url"]);
        }
    }
}

#[tokio::test]
async fn routes_create_and_routes_remove_change_the_list() {
    let (aka, route) = with_route().await;
    assert_eq!((text(&route, "source_path"), text(&route, "target_path")), ("/x", "/y"));
    aka.delete(&format!("/routes/{}", text(&route, "id"))).await.json(200);
    assert_eq!(aka.get("/apps/app-default/routes").await, json!([]));
}
