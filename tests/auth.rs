//! Authentication (reading 4) and the form of every answer (readings 1 and 2).

use http::Method;

use crate::support::TestDaemon;

#[tokio::test]
async fn an_unknown_path_is_404_even_without_credentials() {
    let daemon = TestDaemon::start().await;
    for path in ["/", "/nothing", "/apps/x/nothing"] {
        let answer = daemon.anonymous().get(path).await;
        let message = answer.error(404);
        assert!(message.contains("GET /openapi.json"), "{message}");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["ratelimit-remaining"], "2400");
        assert!(answer.headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn an_unknown_method_is_405_with_those_that_are_known() {
    let daemon = TestDaemon::start().await;
    let answer = daemon.anonymous().send(Method::DELETE, "/openapi.json").await;
    answer.error(405);
    assert_eq!(answer.headers["allow"], "GET,HEAD");
}

#[tokio::test]
async fn an_error_is_plain_text_when_the_client_prefers_that() {
    let daemon = TestDaemon::start().await;
    let answer = daemon.anonymous().header("accept", "text/plain").get("/nothing").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.text(), "There is nothing at this path; GET /openapi.json lists what there is.");
}
