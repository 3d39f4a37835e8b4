//! The codes by which a router line says what went wrong with a request, as Heroku's router names them.
//!
//! Invariant: a request that its app answered, whatever it answered, has none.

/// What went wrong between a client and a dyno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouterCode {
    /// Too many requests wait for a dyno.
    Backlog,
    /// The dyno did not begin its answer in time.
    FirstByteTimeout,
    /// The dyno closed the connection instead of answering.
    NoResponse,
    /// No dyno takes requests.
    NoDynos,
    /// Neither side sent anything for too long after the answer had begun.
    Idle,
    /// The dyno's answer is no HTTP.
    BadResponse,
    /// The dyno broke off its answer.
    ServerInterrupted,
    /// No connection to the dyno within its time.
    ConnectTimeout,
    /// The dyno refused the connection.
    ConnectRefused,
    /// The client went away before it was answered, or broke off its request.
    ClientInterrupted,
    /// The client stopped sending its request.
    ClientIdle,
    /// The app is in maintenance.
    Maintenance,
}

impl RouterCode {
    /// The code, like `H12`.
    pub(super) fn code(self) -> &'static str {
        self.parts().0
    }

    /// What it means, in Heroku's words.
    pub(super) fn description(self) -> &'static str {
        self.parts().1
    }

    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Backlog => ("H11", "Backlog too deep"),
            Self::FirstByteTimeout => ("H12", "Request timeout"),
            Self::NoResponse => ("H13", "Connection closed without response"),
            Self::NoDynos => ("H14", "No web dynos running"),
            Self::Idle => ("H15", "Idle connection"),
            Self::BadResponse => ("H17", "Poorly formatted HTTP response"),
            Self::ServerInterrupted => ("H18", "Server Request Interrupted"),
            Self::ConnectTimeout => ("H19", "Backend connection timeout"),
            Self::ConnectRefused => ("H21", "Backend connection refused"),
            Self::ClientInterrupted => ("H27", "Client Request Interrupted"),
            Self::ClientIdle => ("H28", "Client Connection Idle"),
            Self::Maintenance => ("H80", "Maintenance mode"),
        }
    }
}
