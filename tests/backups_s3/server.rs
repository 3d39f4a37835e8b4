//! A store that speaks S3: one bucket over real HTTP, with checked signatures and digests, and faults on demand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use akkerisd::clock::Clock;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::signature::{decoded, verify};

pub(crate) const BUCKET: &str = "dumps";

/// Ends when it is dropped.
pub(crate) struct S3Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Put,
    Part,
    Begin,
    Complete,
    Abort,
    Get,
    Head,
    Delete,
    List,
    ListUploads,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done, and this answered.
    Status(u16, &'static str),
    /// The connection ends without an answer; what was asked for is done.
    Lost,
    /// There is never an answer.
    Silence,
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// The declared length is larger by so much.
    Longer(usize),
    /// Less is kept than was sent.
    Forgetful,
    /// An error with the status of success.
    Hidden,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, (Vec<u8>, i64)>,
    uploads: BTreeMap<String, (String, BTreeMap<u32, Vec<u8>>)>,
    faults: Vec<(Operation, Fault)>,
    asked: Vec<(Operation, String)>,
    refused: Vec<&'static str>,
    next: u32,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Reply {
    status: u16,
    /// Each with the end of its line.
    headers: Vec<String>,
    body: Vec<u8>,
}

impl S3Server {
    pub(crate) async fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::<Mutex<State>>::default());
        let (mut tasks, shared) = (JoinSet::new(), Arc::clone(&state));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&shared), clock.clone()));
            }
        });
        Self { address, state, _tasks: tasks }
    }

    /// The next such request goes wrong, or the one after it, if several are said.
    pub(crate) fn fail(&self, operation: Operation, fault: Fault) {
        self.lock().faults.push((operation, fault));
    }

    /// What went wrong as it was said to.
    pub(crate) fn faults_left(&self) -> usize {
        self.lock().faults.len()
    }

    /// From now on all is well.
    pub(crate) fn heal(&self) {
        self.lock().faults.clear();
    }

    pub(crate) fn objects(&self) -> BTreeMap<String, String> {
        let text = |(bytes, _): &(Vec<u8>, i64)| String::from_utf8_lossy(bytes).into_owned();
        self.lock().objects.iter().map(|(key, object)| (key.clone(), text(object))).collect()
    }

    pub(crate) fn put(&self, key: &str, content: &str, modified: i64) {
        self.lock().objects.insert(key.to_owned(), (content.as_bytes().to_vec(), modified));
    }

    /// The keys of the uploads that are not complete.
    pub(crate) fn uploads(&self) -> Vec<String> {
        self.lock().uploads.values().map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn begin(&self, key: &str) {
        let mut state = self.lock();
        state.next += 1;
        let id = format!("upload-{}", state.next);
        state.uploads.insert(id, (key.to_owned(), BTreeMap::new()));
    }

    pub(crate) fn count(&self, operation: Operation) -> usize {
        self.lock().asked.iter().filter(|(one, _)| *one == operation).count()
    }

    /// The codes of the refusals that were no fault on demand.
    pub(crate) fn refused(&self) -> Vec<&'static str> {
        self.lock().refused.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Reply {
    fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    fn error(status: u16, code: &str) -> Self {
        Self::of(status, format!("<Error><Code>{code}</Code><Message>It is so.</Message></Error>"))
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>, clock: Clock) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = receive(&mut stream).await {
        let now = clock.now().as_millis();
        let (reply, fault) = decide(&mut state.lock().unwrap(), &request, now);
        let (mut length, mut until) = (reply.body.len(), reply.body.len());
        match fault {
            Some(Fault::Lost) => return,
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::Cut(bytes)) => until = bytes,
            Some(Fault::Longer(bytes)) => length += bytes,
            Some(Fault::Status(..) | Fault::Forgetful | Fault::Hidden) | None => {}
        }
        let headers = reply.headers.concat();
        let head = format!("HTTP/1.1 {} Said\r\ncontent-length: {length}\r\n{headers}\r\n", reply.status);
        let body =
            if request.method == "HEAD" { &[][..] } else { reply.body.get(..until).unwrap_or_default() };
        let sent = stream.write_all(head.as_bytes()).await.is_ok()
            && stream.write_all(body).await.is_ok()
            && stream.flush().await.is_ok();
        if !sent || fault.is_some() {
            return;
        }
    }
}

async fn receive(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|count| *count > 0)?;
    let (method, rest) = line.split_once(' ')?;
    let (path, query) = rest.split(' ').next()?.split_once('?')?;
    let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, path, query, headers, body })
}

fn decide(state: &mut State, request: &Request, now: i64) -> (Reply, Option<Fault>) {
    let checked = verify((&request.method, &request.path, &request.query), &request.headers, now)
        .and_then(|()| check_digest(request));
    if let Err(code) = checked {
        state.refused.push(code);
        return (Reply::error(if code == "BadDigest" { 400 } else { 403 }, code), None);
    }
    let Some(key) = request.path.strip_prefix(&format!("/{BUCKET}/")).map(decoded) else {
        return (Reply::error(404, "NoSuchBucket"), None);
    };
    let operation = operation(request);
    state.asked.push((operation, key.clone()));
    let position = state.faults.iter().position(|(one, _)| *one == operation);
    let fault = position.map(|position| state.faults.remove(position).1);
    let reply = match fault {
        Some(Fault::Status(status, code)) => Reply::error(status, code),
        Some(Fault::Hidden) => Reply::error(200, "InternalError"),
        Some(Fault::Silence) => Reply::of(200, ""),
        Some(Fault::Forgetful) => {
            state.objects.insert(key, (b"le".to_vec(), now));
            Reply::of(200, "")
        }
        Some(Fault::Lost | Fault::Cut(_) | Fault::Longer(_)) | None => {
            act(state, (operation, &key), request, now)
        }
    };
    (reply, fault)
}

/// What is sent to be kept says what it is, and says so under the signature.
fn check_digest(request: &Request) -> Result<(), &'static str> {
    if request.method != "PUT" {
        return Ok(());
    }
    let signed = argument(request, "X-Amz-SignedHeaders").unwrap_or_default();
    let digest = request.headers.get("content-md5").filter(|_| signed.contains("content-md5"));
    let digest = digest.ok_or("MissingContentMD5")?;
    let is_it = *digest == BASE64_STANDARD.encode(Md5::digest(&request.body));
    is_it.then_some(()).ok_or("BadDigest")
}

fn operation(request: &Request) -> Operation {
    let has = |name| argument(request, name).is_some();
    match request.method.as_str() {
        "PUT" if has("partNumber") => Operation::Part,
        "PUT" => Operation::Put,
        "POST" if has("uploads") => Operation::Begin,
        "POST" => Operation::Complete,
        "DELETE" if has("uploadId") => Operation::Abort,
        "DELETE" => Operation::Delete,
        "HEAD" => Operation::Head,
        _ if has("uploads") => Operation::ListUploads,
        _ if has("list-type") => Operation::List,
        _ => Operation::Get,
    }
}

fn argument(request: &Request, name: &str) -> Option<String> {
    let pairs = request.query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| decoded(value)).next()
}

fn act(state: &mut State, (operation, key): (Operation, &str), request: &Request, now: i64) -> Reply {
    let id = argument(request, "uploadId").unwrap_or_default();
    match operation {
        Operation::Put => {
            state.objects.insert(key.to_owned(), (request.body.clone(), now));
            Reply::of(200, "")
        }
        Operation::Part => part(state, &id, request),
        Operation::Begin => {
            state.next += 1;
            let id = format!("upload-{}", state.next);
            state.uploads.insert(id.clone(), (key.to_owned(), BTreeMap::new()));
            Reply::of(200, format!("<R xmlns=\"s3\"><UploadId>{id}</UploadId></R>"))
        }
        Operation::Complete => complete(state, (&id, key), request, now),
        Operation::Abort => match state.uploads.remove(&id) {
            Some(_) => Reply::of(204, ""),
            None => Reply::error(404, "NoSuchUpload"),
        },
        Operation::Get | Operation::Head => read(state, key, request),
        Operation::Delete => {
            state.objects.remove(key);
            Reply::of(204, "")
        }
        Operation::List => {
            let after = argument(request, "continuation-token").unwrap_or_default();
            let prefix = argument(request, "prefix").unwrap_or_default();
            let mut found = state.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
            // Pages of one.
            let Some((key, (_, modified))) = found.next() else { return Reply::of(200, "<R/>") };
            let modified = jiff::Timestamp::from_millisecond(*modified).unwrap();
            let rest = if found.next().is_some() {
                format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{key}</NextContinuationToken>")
            } else {
                String::new()
            };
            let one = format!("<Contents><Key>{key}</Key><LastModified>{modified}</LastModified></Contents>");
            Reply::of(200, format!("<R>{rest}{one}</R>"))
        }
        Operation::ListUploads => {
            let prefix = argument(request, "prefix").unwrap_or_default();
            let all = state.uploads.iter().filter(|(_, (key, _))| key.starts_with(&prefix));
            let one = |(id, (key, _)): (&String, &(String, _))| {
                format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>")
            };
            Reply::of(200, format!("<R>{}</R>", all.map(one).collect::<String>()))
        }
    }
}

fn part(state: &mut State, id: &str, request: &Request) -> Reply {
    let number = argument(request, "partNumber").and_then(|number| number.parse().ok());
    let (Some(number), Some((_, parts))) = (number, state.uploads.get_mut(id)) else {
        return Reply::error(404, "NoSuchUpload");
    };
    parts.insert(number, request.body.clone());
    let etag = format!("etag: \"{}\"\r\n", hex::encode(Md5::digest(&request.body)));
    Reply { headers: vec![etag], ..Reply::of(200, "") }
}

fn complete(state: &mut State, (id, key): (&str, &str), request: &Request, now: i64) -> Reply {
    let Some((_, parts)) = state.uploads.get(id) else { return Reply::error(404, "NoSuchUpload") };
    let expected = |(number, bytes): (&u32, &Vec<u8>)| {
        let etag = hex::encode(Md5::digest(bytes));
        format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>")
    };
    let expected: String = parts.iter().map(expected).collect();
    let is_gapless = parts.keys().copied().eq(1..=u32::try_from(parts.len()).unwrap());
    let said = String::from_utf8_lossy(&request.body);
    if !is_gapless || *said != format!("<CompleteMultipartUpload>{expected}</CompleteMultipartUpload>") {
        return Reply::error(400, "InvalidPart");
    }
    let whole: Vec<u8> = parts.values().flatten().copied().collect();
    state.uploads.remove(id);
    state.objects.insert(key.to_owned(), (whole, now));
    Reply::of(200, "<CompleteMultipartUploadResult/>")
}

fn read(state: &State, key: &str, request: &Request) -> Reply {
    let Some((bytes, _)) = state.objects.get(key) else { return Reply::error(404, "NoSuchKey") };
    let from = request.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    match from.map(|from| bytes.get(from.parse::<usize>().unwrap()..).unwrap_or_default()) {
        Some(rest) => Reply::of(206, rest),
        None => Reply::of(200, bytes.as_slice()),
    }
}
