//! What an S3-compatible store answers in XML. Names count, namespaces do not: the stores differ in them.

use roxmltree::{Document, Node};

use super::error::Fault;

/// Characters of a server's own words that are passed on.
const WORDS: usize = 300;

/// An object as a list has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) key: String,
    /// When it was written, in milliseconds since 1970.
    pub(super) modified: Option<i64>,
}

/// An upload in parts that is not complete.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) id: String,
}

/// A page of a list, and what the question for the next one carries beside.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Vec<(&'static str, String)>,
}

/// The server's words to an answer without success.
pub(super) fn refusal(status: u16, body: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(body);
    let document = Document::parse(&text).ok();
    let find = |name| document.as_ref().and_then(|one| text_of(one.root_element(), name));
    let code = find("Code").unwrap_or_else(|| "without a code".to_owned());
    let message = find("Message").unwrap_or_default();
    Fault::Refused { status, code: bounded(&code), message: bounded(&message) }
}

/// Whether an answer with success tells of a failure all the same, as the completion of an upload may.
pub(super) fn hidden_refusal(status: u16, body: &[u8]) -> Option<Fault> {
    let text = std::str::from_utf8(body).ok()?;
    let document = Document::parse(text.trim_start()).ok()?;
    (document.root_element().tag_name().name() == "Error")
        .then(|| refusal(status, text.trim_start().as_bytes()))
}

/// The id of an upload in parts that was begun.
pub(super) fn upload_id(body: &[u8]) -> Result<String, Fault> {
    parsed(body, |root| {
        text_of(root, "UploadId")
            .filter(|id| !id.is_empty())
            .ok_or(Fault::Nonsense("an upload without an id"))
    })
}

/// A page of objects (`ListObjectsV2`).
pub(super) fn objects(body: &[u8]) -> Result<Page<Object>, Fault> {
    parsed(body, |root| {
        let items = children(root, "Contents").filter_map(|one| {
            let written: Option<jiff::Timestamp> =
                text_of(one, "LastModified").and_then(|at| at.parse().ok());
            Some(Object { key: text_of(one, "Key")?, modified: written.map(jiff::Timestamp::as_millisecond) })
        });
        let items = items.collect();
        let next = next(root, &[("continuation-token", "NextContinuationToken")])?;
        Ok(Page { items, next })
    })
}

/// A page of unfinished uploads (`ListMultipartUploads`).
pub(super) fn uploads(body: &[u8]) -> Result<Page<Upload>, Fault> {
    parsed(body, |root| {
        let items = children(root, "Upload")
            .filter_map(|one| Some(Upload { key: text_of(one, "Key")?, id: text_of(one, "UploadId")? }));
        let items = items.collect();
        let next =
            next(root, &[("key-marker", "NextKeyMarker"), ("upload-id-marker", "NextUploadIdMarker")])?;
        Ok(Page { items, next })
    })
}

/// The text that completes an upload of these parts, in their order.
pub(super) fn completion(etags: &[String]) -> String {
    let part = |(number, etag): (usize, &String)| {
        let etag = etag.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let parts: String = (1..).zip(etags).map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

fn next(root: Node<'_, '_>, names: &[(&'static str, &str)]) -> Result<Vec<(&'static str, String)>, Fault> {
    if text_of(root, "IsTruncated").as_deref() != Some("true") {
        return Ok(Vec::new());
    }
    let pairs = names.iter().map(|(query, name)| Some((*query, text_of(root, name)?)));
    pairs.collect::<Option<_>>().ok_or(Fault::Nonsense("a list that does not say how it goes on"))
}

fn parsed<T>(body: &[u8], read: impl FnOnce(Node<'_, '_>) -> Result<T, Fault>) -> Result<T, Fault> {
    let text = std::str::from_utf8(body).map_err(|_| Fault::Nonsense("no text"))?;
    let document =
        Document::parse(text.trim_start()).map_err(|_| Fault::Nonsense("no XML, or too much of it"))?;
    read(document.root_element())
}

fn children<'a, 'i>(parent: Node<'a, 'i>, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
    parent.children().filter(move |node| node.tag_name().name() == name)
}

fn text_of(parent: Node<'_, '_>, name: &str) -> Option<String> {
    children(parent, name).next().map(|node| node.text().unwrap_or_default().to_owned())
}

fn bounded(text: &str) -> String {
    text.chars().take(WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_are_read_whatever_namespace_the_store_has() {
        for namespace in ["", " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", " xmlns=\"x\""] {
            let body = format!(
                "<?xml version=\"1.0\"?><ListBucketResult{namespace}><IsTruncated>true</IsTruncated>\
                 <NextContinuationToken>t</NextContinuationToken><Contents><Key>a/b</Key>\
                 <LastModified>1970-01-01T00:00:01.000Z</LastModified></Contents></ListBucketResult>"
            );
            let page = objects(body.as_bytes()).unwrap();
            assert_eq!(page.items, [Object { key: "a/b".to_owned(), modified: Some(1000) }]);
            assert_eq!(page.next, [("continuation-token", "t".to_owned())]);
        }
        let page = uploads(
            b"<R><IsTruncated>false</IsTruncated><Upload><Key>k</Key><UploadId>u</UploadId></Upload></R>",
        )
        .unwrap();
        assert_eq!(page.items, [Upload { key: "k".to_owned(), id: "u".to_owned() }]);
        assert!(page.next.is_empty());
        assert!(uploads(b"<R><IsTruncated>true</IsTruncated></R>").is_err());
    }

    #[test]
    fn a_refusal_is_passed_on_in_the_words_of_the_server_also_where_the_status_is_of_success() {
        let body = b"<Error><Code>AccessDenied</Code><Message>No\nway</Message></Error>";
        assert_eq!(refusal(403, body).to_string(), "the server answered 403 AccessDenied: No way");
        assert_eq!(refusal(502, b"<html").to_string(), "the server answered 502 without a code: ");
        assert!(hidden_refusal(200, b"  <Error><Code>InternalError</Code></Error>").is_some());
        assert!(hidden_refusal(200, b"<CompleteMultipartUploadResult/>").is_none());
    }

    #[test]
    fn a_completion_names_the_parts_in_their_order() {
        let etags = ["\"a\"".to_owned(), "<&>".to_owned()];
        assert_eq!(
            completion(&etags),
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag></Part>\
             <Part><PartNumber>2</PartNumber><ETag>&lt;&amp;&gt;</ETag></Part></CompleteMultipartUpload>"
        );
    }

    proptest! {
        #[test]
        fn no_answer_makes_a_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,100}") {
            for body in [body.as_slice(), text.as_bytes()] {
                let read = (upload_id(body), objects(body).is_ok(), uploads(body).is_ok());
                prop_assert!(hidden_refusal(200, body).is_none() || read.0.is_err());
                prop_assert!(!refusal(500, body).to_string().is_empty());
            }
        }
    }
}
