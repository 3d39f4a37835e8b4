//! `invoices…`.

use akkerisd::clock::Clock;
use akkerisd::model::time::Timestamp;
use serde_json::json;

use super::{Aka, list, strings, text};

#[tokio::test]
async fn invoices_and_invoices_info_read_sums_of_account_organization_and_space() {
    let aka = Aka::at(Clock::manual(Timestamp::from_millis(1_483_228_800_000))).await;
    aka.create_app("app").await;
    let formation = json!({ "quantity": 1, "command": null, "type": "web", "healthcheck": null });
    aka.post("/apps/app-default/formation", formation).await;
    aka.daemon.state.clock.advance(std::time::Duration::from_hours(24 * 40));
    for base in ["/account/invoices", "/organizations/akkeris/invoices", "/spaces/default/invoices"] {
        for listed in list(&aka.get(base).await) {
            let month = text(listed, "$ref").rsplit('/').next().unwrap();
            assert!(month.len() == 10 && month.ends_with("-01"), "{month}");
            // The client leaves out months that have not come.
            if month > "2017-02-10" {
                continue;
            }
            let invoice = aka.get(&format!("{base}/{month}")).await;
            strings(&invoice, &["period_start", "period_end", "payment_status"]);
            for sum in ["addons_total", "database_total", "platform_total", "total"] {
                assert!(invoice[sum].is_number(), "{sum} in {invoice}");
            }
            assert!(invoice["items"].is_array(), "{invoice}");
        }
    }
}
