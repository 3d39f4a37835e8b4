//! `features…`.

use serde_json::json;

use super::{APP, Aka, list, strings, text};

#[tokio::test]
async fn features_and_features_info_read_names_and_descriptions() {
    let aka = Aka::with_app().await;
    let path = format!("{APP}/features");
    for feature in list(&aka.get(&path).await) {
        let info = aka.get(&format!("{path}/{}", text(feature, "name"))).await;
        for shown in [feature, &info] {
            strings(shown, &["name", "display_name", "description"]);
            assert!(shown["enabled"].is_boolean(), "{shown}");
        }
    }
}

#[tokio::test]
async fn features_enable_and_features_disable_send_a_boolean() {
    let aka = Aka::with_app().await;
    let path = format!("{APP}/features/http2-end-to-end");
    for enabled in [true, false] {
        let answered = aka.patch(&path, json!({ "enabled": enabled })).await;
        strings(&answered, &["name", "display_name", "description"]);
        assert_eq!(
            (&answered["enabled"], &aka.get(&path).await["enabled"]),
            (&json!(enabled), &json!(enabled))
        );
    }
}
