//! What monitors ask.

use crate::support::TestDaemon;

#[tokio::test]
async fn read_health_answers_a_text_without_a_token() {
    let daemon = TestDaemon::start().await;
    let answer = daemon.anonymous().get("/octhc").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "overall_status=good"));
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
}
