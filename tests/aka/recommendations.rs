//! `recommendations…`.

use serde_json::{Value, json};

use super::{APP, Aka, list, strings, text};

async fn with_recommendations() -> Aka {
    let aka = Aka::with_app().await;
    for service in ["turbonomic", "own"] {
        let details = json!({ "resource": "web", "quantity": 2, "description": "Scale web" });
        let body = json!({ "service": service, "resource_type": "formation", "action": "scale", "details": details });
        aka.post(&format!("{APP}/recommendations"), body).await;
    }
    aka
}

#[tokio::test]
async fn recommendations_reads_details_that_are_all_strings() {
    let aka = with_recommendations().await;
    for recommendation in list(&aka.get(&format!("{APP}/recommendations")).await) {
        strings(recommendation, &["id", "service", "action", "resource_type.name"]);
        let details = recommendation["details"].as_object().unwrap();
        assert!(!details.is_empty() && details.values().all(Value::is_string), "{details:?}");
    }
}

#[tokio::test]
async fn recommendations_delete_removes_one_and_recommendations_clear_the_rest() {
    let aka = with_recommendations().await;
    let path = format!("{APP}/recommendations");
    let all = aka.get(&path).await;
    let first = text(&list(&all)[0], "id");
    aka.delete(&format!("{path}?recommendation={first}")).await.json(200);
    let rest = aka.get(&path).await;
    assert!(list(&rest).iter().all(|recommendation| text(recommendation, "id") != first));
    for recommendation in list(&rest) {
        aka.delete(&format!("{path}?recommendation={}", text(recommendation, "id"))).await.json(200);
    }
    assert_eq!(aka.get(&path).await, json!([]));
}
