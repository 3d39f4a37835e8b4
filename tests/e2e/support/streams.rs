//! Streams that stay open for long: tunnels that echo, and a download that is read slowly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::daemon::{Daemon, host};

/// Longest wait for an echo or for a piece of a download.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// A WebSocket that sends a frame now and then and wants each back.
pub struct Tunnel {
    stop: CancellationToken,
    echoes: Arc<AtomicU64>,
    running: JoinHandle<Result<(), String>>,
}

/// A download that is read piece by piece, as the story wants it.
pub struct Download {
    reader: BufReader<TlsStream<TcpStream>>,
    total: u64,
    read: u64,
}

impl Tunnel {
    /// Opens the tunnel; from now on frames go through it.
    pub async fn open(daemon: &Daemon, app: &str) -> Self {
        let head = "GET /socket HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        let (mut reader, status) = request(daemon, app, head).await;
        assert!(status.contains("101"), "{status}");
        let (stop, echoes) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (stop.clone(), Arc::clone(&echoes));
        let running = tokio::task::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            while !stopped.is_cancelled() {
                ticks.tick().await;
                let frame = count.load(Ordering::SeqCst).to_be_bytes();
                let echo = async {
                    reader.write_all(&frame).await?;
                    reader.flush().await?;
                    let mut back = [0; 8];
                    reader.read_exact(&mut back).await.map(|_| back)
                };
                let back =
                    tokio::time::timeout(ANSWER_LIMIT, echo).await.map_err(|_| "no echo".to_owned())?;
                if back.map_err(|error| format!("the tunnel broke: {error:?}"))? != frame {
                    return Err("another frame came back".to_owned());
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        Self { stop, echoes, running }
    }

    /// Frames that came back so far.
    pub fn echoes(&self) -> u64 {
        self.echoes.load(Ordering::SeqCst)
    }

    /// Ends the tunnel, which must have worked all the time.
    pub async fn close(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

impl Download {
    /// Begins a download of so many bytes; nothing but its head is read.
    pub async fn begin(daemon: &Daemon, app: &str, total: u64) -> Self {
        let (reader, status) = request(daemon, app, &format!("GET /download?{total} HTTP/1.1\r\n")).await;
        assert!(status.contains("200"), "{status}");
        Self { reader, total, read: 0 }
    }

    /// Reads so many bytes more, and looks whether they are the right ones.
    pub async fn read(&mut self, bytes: u64) {
        let mut piece = vec![0; 64 * 1024];
        let mut left = bytes.min(self.total - self.read);
        while left > 0 {
            let most = piece.len().min(usize::try_from(left).unwrap());
            let came = tokio::time::timeout(ANSWER_LIMIT, self.reader.read(&mut piece[..most]));
            let came = came.await.expect("the download goes on").unwrap();
            assert!(came > 0, "the download ended after {} of {} bytes", self.read, self.total);
            for (byte, place) in piece[..came].iter().zip(self.read..) {
                assert_eq!(u64::from(*byte), place % 251, "at {place}");
            }
            self.read += came as u64;
            left -= came as u64;
        }
    }

    /// Reads the rest.
    pub async fn finish(mut self) {
        self.read(self.total).await;
        assert_eq!(self.read, self.total);
    }
}

/// Sends a head, to which the host is added; gives the connection after the head of the answer, and its first line.
async fn request(daemon: &Daemon, app: &str, head: &str) -> (BufReader<TlsStream<TcpStream>>, String) {
    let stream = TcpStream::connect(("127.0.0.1", daemon.https_port())).await.unwrap();
    let name = ServerName::try_from(host(app)).unwrap();
    let stream = TlsConnector::from(daemon.tls(&[b"http/1.1"])).connect(name, stream).await.unwrap();
    let mut reader = BufReader::new(stream);
    reader.write_all(format!("{head}Host: {}\r\n\r\n", host(app)).as_bytes()).await.unwrap();
    reader.flush().await.unwrap();
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let came = tokio::time::timeout(ANSWER_LIMIT, reader.read_line(&mut line));
        came.await.expect("the answer begins").unwrap();
        if line.trim().is_empty() {
            return (reader, lines.first().cloned().unwrap_or_default());
        }
        lines.push(line);
    }
}
