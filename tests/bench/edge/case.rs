//! What is compared: the kind of traffic, and which share of the better of nginx and HAProxy it may cost.

/// One kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Http1,
    Tls,
    TlsConnections,
    Http2,
    Large,
    LargeTls,
    Upload,
    Connections,
    Paced,
    PacedTls,
}

impl Case {
    pub(crate) const ALL: [Self; 10] = [
        Self::Http1,
        Self::Tls,
        Self::TlsConnections,
        Self::Http2,
        Self::Large,
        Self::LargeTls,
        Self::Upload,
        Self::Connections,
        Self::Paced,
        Self::PacedTls,
    ];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "h1",
            Self::Tls => "tls",
            Self::TlsConnections => "tls-connections",
            Self::Http2 => "h2",
            Self::Large => "large",
            Self::LargeTls => "large-tls",
            Self::Upload => "upload",
            Self::Connections => "connections",
            Self::Paced => "paced",
            Self::PacedTls => "paced-tls",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1, 1 KiB",
            Self::Tls => "TLS 1.3, 1 KiB",
            Self::TlsConnections => "TLS 1.3, connection each",
            Self::Http2 => "HTTP/2 over TLS, 1 KiB",
            Self::Large => "HTTP/1.1, 64 KiB",
            Self::LargeTls => "TLS 1.3, 64 KiB",
            Self::Upload => "HTTP/1.1, upload of 1 MiB",
            Self::Connections => "HTTP/1.1, connection each",
            Self::Paced => "HTTP/1.1, 2,000 a second",
            Self::PacedTls => "TLS 1.3, 2,000 a second",
        }
    }

    /// The most that the edge may cost, as a share of the better of nginx and HAProxy (issue 5).
    pub(crate) fn target(self) -> f64 {
        match self {
            Self::Http1 | Self::Connections | Self::Paced => 1.0,
            Self::Http2 | Self::Large | Self::Upload => 0.95,
            Self::Tls | Self::LargeTls => 0.85,
            Self::PacedTls => 0.8,
            Self::TlsConnections => 0.5,
        }
    }
}
