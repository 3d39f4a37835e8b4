//! Which operations need a token that lasts: those that the temporary token of a hook is refused (`behaviour.md` §1.3).

use http::Method;

/// Method and route; `*` stands for any parameter.
const OPERATIONS: &[(Method, &str)] = &[
    (Method::DELETE, "/apps/*"),
    (Method::DELETE, "/apps/*/formation/*"),
    (Method::DELETE, "/apps/*/addons/*"),
    (Method::DELETE, "/addon-attachments/*"),
    (Method::DELETE, "/organizations/*"),
    (Method::DELETE, "/sites/*"),
    (Method::PATCH, "/sites/*"),
    (Method::DELETE, "/routes/*"),
    (Method::DELETE, "/apps/*/routes/*"),
    (Method::DELETE, "/sites/*/routes/*"),
    (Method::DELETE, "/filters/*"),
    (Method::DELETE, "/apps/*/filters/*"),
    (Method::POST, "/apps/*/hooks"),
    (Method::PATCH, "/apps/*/hooks/*"),
    (Method::DELETE, "/apps/*/hooks/*"),
];

/// Whether an operation is one of them; `route` is its pattern, like `/apps/{app}`.
pub(super) fn is_needed(method: &Method, route: &str) -> bool {
    OPERATIONS.iter().any(|(listed, pattern)| listed == method && matches(pattern, route))
}

fn matches(pattern: &str, route: &str) -> bool {
    let parameter =
        |(wanted, found): (&str, &str)| wanted == found || (wanted == "*" && found.starts_with('{'));
    pattern.split('/').count() == route.split('/').count()
        && pattern.split('/').zip(route.split('/')).all(parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_known_by_its_method_and_its_route() {
        assert!(is_needed(&Method::DELETE, "/apps/{app}"));
        assert!(is_needed(&Method::PATCH, "/apps/{app}/hooks/{hook}"));
        assert!(!is_needed(&Method::GET, "/apps/{app}"));
        assert!(!is_needed(&Method::DELETE, "/apps/{app}/dynos"));
        assert!(!is_needed(&Method::DELETE, "/apps"));
        assert!(!is_needed(&Method::POST, "/apps/{app}/builds"));
    }
}
