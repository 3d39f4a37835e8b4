//! Asks a web dyno whether it is healthy: a TCP connection, or the health check's path (200–399).

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::model::formation::HealthCheck;

/// Longest wait for one answer (`behaviour.md` §6).
const PROBE_LIMIT: Duration = Duration::from_secs(15);
/// Between the probes of a dyno that is ready (`behaviour.md` §6).
const STEADY_PAUSE: Duration = Duration::from_secs(20);
/// Before the second probe of a dyno that is booting; doubles up to [`SLOWEST_BOOT_PAUSE`].
const FIRST_BOOT_PAUSE: Duration = Duration::from_millis(10);
const SLOWEST_BOOT_PAUSE: Duration = Duration::from_secs(1);

/// What to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) address: SocketAddr,
    pub(super) healthcheck: Option<HealthCheck>,
    /// The app's public host, as a request through the edge would carry it.
    pub(super) host: String,
}

/// The pause before the next probe of a booting dyno, after this many failures.
pub(super) fn boot_pause(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => FIRST_BOOT_PAUSE.saturating_mul(2_u32.saturating_pow((n - 1).min(16))).min(SLOWEST_BOOT_PAUSE),
    }
}

/// The pause before the next probe of a dyno that was ready at the last.
pub(super) fn steady_pause() -> Duration {
    STEADY_PAUSE
}

/// Waits, then asks once. `Err` says why the dyno is not healthy, in words for its owner.
///
/// Ends within the pause plus 15 seconds; may be dropped at any time.
pub(super) async fn probe_after(pause: Duration, probe: &Probe) -> Result<(), String> {
    tokio::time::sleep(pause).await;
    match tokio::time::timeout(PROBE_LIMIT, ask(probe)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} seconds", PROBE_LIMIT.as_secs())),
    }
}

async fn ask(probe: &Probe) -> Result<(), String> {
    let port = probe.address.port();
    let stream = TcpStream::connect(probe.address)
        .await
        .map_err(|error| format!("nothing accepts connections on port {port} ({})", error.kind()))?;
    let Some(healthcheck) = &probe.healthcheck else { return Ok(()) };
    let path = healthcheck.as_str();
    let failed = |error: hyper::Error| format!("GET {path} on port {port} failed: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let request = hyper::Request::get(path)
        .header(hyper::header::HOST, &probe.host)
        .header(hyper::header::USER_AGENT, "akkerisd-healthcheck")
        .header("X-Forwarded-Proto", "https")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("GET {path} is no valid request: {error}"))?;
    // The connection is driven only for the answer's head; dropping it closes it.
    let response = tokio::select! {
        response = sender.send_request(request) => response.map_err(failed)?,
        end = connection => {
            return Err(match end {
                Ok(()) => format!("GET {path} on port {port} failed: the connection was closed"),
                Err(error) => failed(error),
            });
        }
    };
    let status = response.status().as_u16();
    if (200..400).contains(&status) {
        Ok(())
    } else {
        Err(format!("GET {path} on port {port} answered {status}"))
    }
}
