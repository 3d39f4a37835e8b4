//! One content on its way to an app: its build, and its release.

use std::io::Write;
use std::time::Duration;

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::folder::Packed;
use crate::cli::progress::Progress;
use crate::outbound::{ApiClient, ApiClientError};

/// Between two looks at a build or a release.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// What builds of this command call their branch.
const BRANCH: &str = "watch";

/// An app that a folder is sent to.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) api: &'a ApiClient,
    pub(super) app: &'a str,
    pub(super) progress: &'a Progress,
}

impl Target<'_> {
    /// The hash of the content that the current release was built of; `None` when the app has none, or one that came
    /// another way.
    pub(super) async fn released(&self) -> Result<Option<String>, ApiClientError> {
        let releases = self.api.get(&format!("/apps/{}/releases", self.app)).await?;
        let succeeded = |release: &&Value| text(release, "/status") == "succeeded";
        let Some(current) = releases.as_array().into_iter().flatten().rev().find(succeeded) else {
            return Ok(None);
        };
        let slug = self.api.get(&format!("/slugs/{}", text(current, "/slug/id"))).await?;
        let ours = text(&slug, "/source_blob/branch") == BRANCH;
        Ok(ours.then(|| text(&slug, "/source_blob/commit").to_owned()))
    }

    /// Builds a content and waits for its release; what is told about it goes to `output`.
    pub(super) async fn deploy(&self, packed: &Packed, output: &mut dyn Write) -> anyhow::Result<()> {
        let checksum = {
            use sha2::Digest;
            hex::encode(sha2::Sha256::digest(&packed.archive))
        };
        self.progress.show("sending the source");
        let body = json!({
            "url": format!("data:application/gzip;base64,{}", STANDARD.encode(&packed.archive)),
            "checksum": format!("sha256:{checksum}"),
            "sha": packed.hash,
            "branch": BRANCH,
            "message": "akkerisd watch",
        });
        let sent = self.api.post(&format!("/apps/{}/builds", self.app), &body).await;
        self.progress.clear();
        let build = text(&sent?, "/id").to_owned();
        self.follow_build(&build, output).await?;
        self.follow_release(&build, output).await
    }

    async fn follow_build(&self, build: &str, output: &mut dyn Write) -> anyhow::Result<()> {
        let path = format!("/apps/{}/builds/{build}/result", self.app);
        let mut seen = 0;
        loop {
            let result = self.api.get(&path).await?;
            let lines = result.get("lines").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            if lines.len() > seen {
                self.progress.clear();
            }
            for line in lines.iter().skip(seen).filter_map(Value::as_str) {
                writeln!(output, "{line}")?;
            }
            seen = seen.max(lines.len());
            match text(&result, "/build/status") {
                "succeeded" => return Ok(()),
                "failed" => return Err(anyhow!("the build failed; what runs runs on")),
                status => self.progress.show(&format!("the build is {status}")),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn follow_release(&self, build: &str, output: &mut dyn Write) -> anyhow::Result<()> {
        loop {
            let releases = self.api.get(&format!("/apps/{}/releases", self.app)).await?;
            let of_it = |release: &&Value| text(release, "/slug/id") == build;
            let Some(release) = releases.as_array().into_iter().flatten().rev().find(of_it) else {
                return Err(anyhow!("built, and not released: the feature auto-release of the app is off"));
            };
            let version = release.get("version").and_then(Value::as_u64).unwrap_or_default();
            match text(release, "/status") {
                "succeeded" => {
                    self.progress.clear();
                    let app = self.api.get(&format!("/apps/{}", self.app)).await?;
                    writeln!(output, "Released v{version}: {}", text(&app, "/web_url"))?;
                    return Ok(());
                }
                "failed" => {
                    self.progress.clear();
                    return Err(anyhow!("the release v{version} failed; what ran before runs on"));
                }
                status => self.progress.show(&format!("the release v{version} is {status}")),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// The text at a place of an answer; empty when there is none.
fn text<'v>(value: &'v Value, at: &str) -> &'v str {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default()
}
