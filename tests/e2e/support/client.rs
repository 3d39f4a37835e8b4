//! The API as a person with curl uses it.

use std::time::Duration;

use serde_json::{Value, json};

use super::archive::Source;
use super::wait_until;

/// A client with the admin token.
#[derive(Clone)]
pub struct Client {
    base: String,
    token: String,
    http: reqwest::Client,
}

impl Client {
    pub fn new(base: String, token: &str) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        Self { base, token: token.to_owned(), http }
    }

    /// Sends a request; gives status and body, or why there was no answer.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value), String> {
        let method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.map_err(|error| format!("{error:?}"))?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(|error| format!("{error:?}"))?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Sends a request that must be answered with this status.
    pub async fn send(&self, method: &str, path: &str, body: Option<Value>, status: u16) -> Value {
        let (answered, value) = self.try_send(method, path, body).await.unwrap();
        assert_eq!(answered, status, "{method} {path}: {value}");
        value
    }

    pub async fn get(&self, path: &str) -> Value {
        self.send("GET", path, None, 200).await
    }

    pub async fn create_space(&self, name: &str) {
        self.send("POST", "/spaces", Some(json!({"name": name})), 201).await;
    }

    /// Makes an app; gives its key.
    pub async fn create_app(&self, name: &str, space: &str) -> String {
        let app = json!({"org": "akkeris", "name": name, "space": space});
        let app = self.send("POST", "/apps", Some(app), 201).await;
        app["key"].as_str().unwrap().to_owned()
    }

    /// Begins a build; gives its id.
    pub async fn begin_build(&self, app: &str, url: &str) -> String {
        self.try_begin_build(app, url).await.unwrap()
    }

    /// Begins a build; gives its id, or why there was no answer.
    pub async fn try_begin_build(&self, app: &str, url: &str) -> Result<String, String> {
        let build = json!({"url": url, "checksum": "", "sha": "abc", "version": "v1"});
        let (status, build) = self.try_send("POST", &format!("/apps/{app}/builds"), Some(build)).await?;
        assert_eq!(status, 201, "{build}");
        Ok(build["id"].as_str().unwrap().to_owned())
    }

    /// The newest build of an app.
    pub async fn last_build(&self, app: &str) -> String {
        let builds = self.get(&format!("/apps/{app}/builds")).await;
        builds.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of a build; gives its status and its log.
    pub async fn finish_build(&self, app: &str, build: &str) -> (String, Vec<String>) {
        let path = format!("/apps/{app}/builds/{build}/result");
        wait_until("the build ends", Duration::from_mins(2), || async {
            let result = self.try_send("GET", &path, None).await?.1;
            let status = result["build"]["status"].as_str().unwrap_or("none").to_owned();
            let lines: Vec<String> = result["lines"]
                .as_array()
                .map(|lines| lines.iter().filter_map(|line| line.as_str()).map(str::to_owned).collect())
                .unwrap_or_default();
            let ended = lines.last().is_some_and(|line| line.starts_with("Finished: "));
            if (status == "succeeded" || status == "failed") && ended {
                Ok((status, lines))
            } else {
                Err(result.to_string())
            }
        })
        .await
    }

    /// The newest release of an app.
    pub async fn last_release(&self, app: &str) -> Result<Value, String> {
        let (_, releases) = self.try_send("GET", &format!("/apps/{app}/releases"), None).await?;
        releases.as_array().and_then(|all| all.last().cloned()).ok_or_else(|| releases.to_string())
    }

    /// Waits until the newest release, which must be at least `version`, has ended; gives it.
    pub async fn finish_release(&self, app: &str, version: u64) -> Value {
        wait_until("the release ends", Duration::from_mins(2), || async {
            let release = self.last_release(app).await?;
            let new = release["version"].as_u64().unwrap_or(0) >= version;
            let ended = release["status"] == "succeeded" || release["status"] == "failed";
            if new && ended { Ok(release) } else { Err(release.to_string()) }
        })
        .await
    }

    /// Builds a source, waits for its automatic release, and gives that release.
    pub async fn deploy(&self, app: &str, source: &Source) -> Value {
        let before =
            self.last_release(app).await.ok().and_then(|release| release["version"].as_u64()).unwrap_or(0);
        let build = self.begin_build(app, &source.tar_gz()).await;
        let (status, log) = self.finish_build(app, &build).await;
        assert_eq!(status, "succeeded", "{log:#?}");
        self.finish_release(app, before + 1).await
    }

    /// Releases a slug and waits for the end; gives the release.
    pub async fn release(&self, app: &str, slug: &str) -> Value {
        let release =
            self.send("POST", &format!("/apps/{app}/releases"), Some(json!({"slug": slug})), 201).await;
        self.finish_release(app, release["version"].as_u64().unwrap()).await
    }

    pub async fn scale(&self, app: &str, process_type: &str, quantity: u64) {
        let path = format!("/apps/{app}/formation/{process_type}");
        self.send("PATCH", &path, Some(json!({"quantity": quantity})), 200).await;
    }

    /// The codes of an app's crashes, newest first.
    pub async fn crashes(&self, app: &str) -> Vec<String> {
        let (name, space) = app.split_once('-').unwrap();
        let audits = self.get(&format!("/audits?app={name}&space={space}&size=1000")).await;
        let crashes = audits.as_array().unwrap().iter().filter(|audit| audit["action"] == "crashed");
        let code = |audit: &Value| {
            let info: Value = serde_json::from_str(audit["info"].as_str().unwrap()).unwrap();
            info["code"].as_str().unwrap().to_owned()
        };
        crashes.map(code).collect()
    }

    /// Waits until the app's dynos satisfy `wanted`; gives them.
    pub async fn wait_for_dynos(
        &self,
        app: &str,
        what: &str,
        wanted: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        wait_until(what, Duration::from_secs(90), || async {
            let (_, dynos) = self.try_send("GET", &format!("/apps/{app}/dynos"), None).await?;
            match dynos.as_array() {
                Some(dynos) if wanted(dynos) => Ok(dynos.clone()),
                _ => Err(dynos.to_string()),
            }
        })
        .await
    }
}

/// Whether there are this many dynos, all of them ready.
pub fn all_ready(count: usize) -> impl Fn(&[Value]) -> bool {
    move |dynos| dynos.len() == count && dynos.iter().all(|dyno| dyno["ready"] == true)
}
