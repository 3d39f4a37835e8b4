//! Invoices, walked as the document shows them, on a clock that the tests move.

use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::model::time::Timestamp;
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

const DAY: Duration = Duration::from_hours(24);

fn documented() -> Value {
    json!({
        "addons_total": 25,
        "database_total": 0,
        "charges_total": 213.51,
        "created_at": "2017-02-01T00:00:00.000Z",
        "credits_total": 0,
        "dyno_units": 61,
        "id": "2017-02-01",
        "number": "1485907200000",
        "payment_status": "Pending",
        "period_end": "2017-02-05T22:16:56.616Z",
        "period_start": "2017-02-01T00:00:00.000Z",
        "platform_total": 188.51,
        "state": 1,
        "total": 213.51,
        "updated_at": "2017-02-01T00:00:00.000Z",
        "weighted_dyno_hours": 7320,
        "items": [{
            "organization": "akkeris",
            "app": { "name": "app-space" },
            "description": "constellation web dyno",
            "type": "dyno",
            "quantity": 1,
            "price_per_unit": 60,
            "billed_price": 10.71,
            "created_at": "2016-07-26T15:47:33.411Z",
            "deleted_at": null
        }]
    })
}

/// An app with two web dynos of 60 dollars a month, made on the first of January 2017.
async fn with_app() -> (TestDaemon, Client) {
    let clock = Clock::manual(Timestamp::from_millis(1_483_228_800_000));
    let daemon = TestDaemon::at(clock).await;
    let client = daemon.admin();
    client.post("/apps", json!({ "name": "app", "space": "default", "org": "akkeris" })).await.json(201);
    let formation = json!({ "type": "web", "quantity": 2, "size": "constellation" });
    client.post("/apps/app/formation", formation).await.json(201);
    (daemon, client)
}

async fn total(client: &Client, month: &str) -> f64 {
    let invoice = client.get(&format!("/account/invoices/{month}")).await.json(200);
    invoice.get("total").and_then(Value::as_f64).unwrap()
}

fn is(amount: f64, dollars: f64) -> bool {
    (amount - dollars).abs() < 0.000_1
}

#[tokio::test]
async fn list_invoices_runs_to_one_month_past_now() {
    let (daemon, client) = with_app().await;
    daemon.state.clock.advance(DAY * 40);
    for base in ["/account/invoices", "/organizations/akkeris/invoices", "/spaces/default/invoices"] {
        let listed = client.get(base).await.json(200);
        let expected: Vec<Value> = ["2017-01-01", "2017-02-01", "2017-03-01"]
            .iter()
            .map(|month| json!({ "$ref": format!("{base}/{month}") }))
            .collect();
        assert_eq!(listed, json!(expected), "{base}");
        let invoice = client.get(&format!("{base}/2017-02-01")).await.json(200);
        assert_shape(&documented(), &invoice, &["deleted_at"]);
        client.get(&format!("{base}/2017-03-01")).await.error(404);
    }
    for alias in ["/organization/akkeris/invoices", "/space/default/invoices"] {
        assert_eq!(client.get(alias).await.json(200).as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn an_invoice_counts_what_ran_and_for_how_long() {
    let (daemon, client) = with_app().await;
    daemon.state.clock.advance(DAY * 9);
    assert!(is(total(&client, "2017-01-01").await, 34.84));
    client.patch("/apps/app/formation/web", json!({ "quantity": 1 })).await.json(200);
    daemon.state.clock.advance(DAY * 9);
    assert!(is(total(&client, "2017-01-01").await, 34.84 + 17.42));
    client.patch("/apps/app/formation/web", json!({ "quantity": 0 })).await.json(200);
    daemon.state.clock.advance(DAY * 30);
    let invoice = client.get("/account/invoices/2017-01-01").await.json(200);
    assert!(is(invoice["total"].as_f64().unwrap(), 52.26));
    assert_eq!((&invoice["payment_status"], &invoice["state"]), (&json!("Paid"), &json!(1)));
    assert_eq!((&invoice["number"], &invoice["dyno_units"]), (&json!("1483228800000"), &json!(3)));
    assert_eq!(invoice["weighted_dyno_hours"], 3 * 24 * 31);
    let items = invoice["items"].as_array().unwrap();
    let quantities: Vec<&Value> = items.iter().map(|item| &item["quantity"]).collect();
    assert_eq!(quantities, [&json!(2), &json!(1)]);
    assert_eq!(items[0]["deleted_at"], "2017-01-10T00:00:00.000Z");
    assert_eq!(items[0]["app"]["name"], "app-default");
    client.get("/account/invoices/2017-02-01").await.error(404);
}

#[tokio::test]
async fn neither_maintenance_nor_a_change_of_the_port_begins_a_new_item() {
    let (daemon, client) = with_app().await;
    daemon.state.clock.advance(DAY);
    client.patch("/apps/app/formation/web", json!({ "port": 8080 })).await.json(200);
    client.patch("/apps/app", json!({ "maintenance": true })).await.json(200);
    daemon.state.clock.advance(DAY);
    let invoice = client.get("/account/invoices/2017-01-01").await.json(200);
    assert_eq!(invoice["items"].as_array().unwrap().len(), 1);
    assert!(is(invoice["total"].as_f64().unwrap(), 7.74));
}

#[tokio::test]
async fn a_deleted_app_stays_on_the_invoice_and_costs_nothing_more() {
    let (daemon, client) = with_app().await;
    daemon.state.clock.advance(DAY * 9);
    client.delete("/apps/app").await.json(200);
    daemon.state.clock.advance(DAY * 9);
    assert!(is(total(&client, "2017-01-01").await, 34.84));
}

#[tokio::test]
async fn what_has_no_invoice_is_not_found() {
    let (_daemon, client) = with_app().await;
    client.post("/spaces", json!({ "name": "empty" })).await.json(201);
    client.get("/spaces/empty/invoices").await.error(404);
    client.get("/spaces/nothing/invoices").await.error(404);
    client.get("/organizations/nothing/invoices/2017-01-01").await.error(404);
    for id in ["2016-12-01", "2017-01-02", "2017-01", "latest"] {
        client.get(&format!("/account/invoices/{id}")).await.error(404);
    }
}
