//! Brings a file to the bucket: in one request, or in parts. What is begun and not completed is aborted.

use std::path::Path;

use rusty_s3::Method;

use super::S3Storage;
use super::answer::{self, Upload};
use super::client::{PAGE, Request};
use super::error::{Fault, S3Error};
use crate::outbound::TransferBody;

const DOING: &str = "uploading";
/// Parts of an object at most.
const MOST_PARTS: u64 = 10_000;

impl S3Storage {
    /// Makes the first `size` bytes of a file the object of that key. On an error the bucket has no part of it, unless
    /// the store does not answer at all.
    pub(super) async fn upload(&self, key: &str, file: &Path, size: u64) -> Result<(), S3Error> {
        if size <= self.client.pace.part {
            let body = TransferBody::Part { file, offset: 0, length: size };
            let put = Request { doing: DOING, method: Method::Put, key, query: Vec::new(), body };
            self.client.ask(&put).await?;
        } else {
            self.upload_in_parts(key, file, size).await?;
        }
        let held = self.size(key).await?;
        if held == Some(size) {
            return Ok(());
        }
        self.remove_object(key).await?;
        let fault = match held {
            Some(found) => Fault::Length { expected: size, found },
            None => Fault::Nonsense("an object without a length"),
        };
        Err(self.client.error(DOING, fault))
    }

    /// The unfinished uploads of keys that begin with `prefix`; none where the store does not list them.
    pub(super) async fn unfinished(&self, prefix: &str) -> Result<Vec<Upload>, S3Error> {
        let doing = "listing unfinished uploads";
        let (mut found, mut next) = (Vec::new(), Vec::new());
        loop {
            let mut query = vec![("max-uploads", PAGE.to_owned()), ("prefix", prefix.to_owned())];
            query.push(("uploads", String::new()));
            query.append(&mut next);
            query.sort_unstable();
            let list = Request { doing, method: Method::Get, key: "", query, body: TransferBody::Empty };
            let answer = match self.client.ask(&list).await {
                Err(error) if error.is_unsupported() => return Ok(found),
                answer => answer?,
            };
            let page = answer::uploads(&answer.body).map_err(|fault| self.client.error(doing, fault))?;
            found.extend(page.items);
            if page.next.is_empty() {
                return Ok(found);
            }
            next = page.next;
        }
    }

    /// Forgets an upload and its parts; one that is not there is well.
    pub(super) async fn abort(&self, key: &str, id: &str) -> Result<(), S3Error> {
        let query = vec![("uploadId", id.to_owned())];
        let doing = "aborting an upload";
        let abort = Request { doing, method: Method::Delete, key, query, body: TransferBody::Empty };
        match self.client.ask(&abort).await {
            Err(error) if !error.is_missing() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Begins an upload in parts.
    pub(super) async fn begin(&self, key: &str) -> Result<String, S3Error> {
        let query = vec![("uploads", String::new())];
        let begin = Request {
            doing: "beginning an upload",
            method: Method::Post,
            key,
            query,
            body: TransferBody::Empty,
        };
        let answer = self.client.ask(&begin).await?;
        answer::upload_id(&answer.body).map_err(|fault| self.client.error(begin.doing, fault))
    }

    async fn upload_in_parts(&self, key: &str, file: &Path, size: u64) -> Result<(), S3Error> {
        // What a daemon left that was killed meanwhile.
        for upload in self.unfinished(key).await? {
            self.abort(&upload.key, &upload.id).await?;
        }
        let id = self.begin(key).await?;
        let sent = self.send_parts((key, &id), file, size).await;
        if sent.is_err()
            && let Err(error) = self.abort(key, &id).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "an upload stays unfinished");
        }
        sent
    }

    async fn send_parts(&self, (key, id): (&str, &str), file: &Path, size: u64) -> Result<(), S3Error> {
        // All parts but the last are of one size: some stores ask for it.
        let length = self.client.pace.part.max(size.div_ceil(MOST_PARTS));
        let mut etags = Vec::new();
        for number in 0..size.div_ceil(length) {
            let offset = number * length;
            let body = TransferBody::Part { file, offset, length: length.min(size - offset) };
            let query = vec![("partNumber", (number + 1).to_string()), ("uploadId", id.to_owned())];
            let put = Request { doing: DOING, method: Method::Put, key, query, body };
            let answer = self.client.ask(&put).await?;
            let etag = answer.headers.get("etag").cloned();
            etags.push(
                etag.ok_or_else(|| self.client.error(DOING, Fault::Nonsense("a part without an ETag")))?,
            );
        }
        let text = answer::completion(&etags);
        let (query, body) = (vec![("uploadId", id.to_owned())], TransferBody::Text(&text));
        let complete = Request { doing: "completing an upload", method: Method::Post, key, query, body };
        match self.client.ask(&complete).await {
            // An answer got lost, and the object is looked at in any case.
            Err(error) if !error.is_missing() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
