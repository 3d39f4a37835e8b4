//! Suite 2: the real binary, a real Docker Engine, the real edge. One file a story.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test a broken premise shall end the test"
)]
#![expect(clippy::indexing_slicing, reason = "a missing field of an answer shall end the test")]
#![expect(clippy::disallowed_types, reason = "the stories start the daemon and the docker program")]
#![expect(clippy::disallowed_methods, reason = "the load's connections are driven beside the test")]
#![expect(clippy::print_stderr, reason = "a failed story shows the daemon's log and the figures")]
#![expect(unreachable_pub, reason = "the support of the stories is read like a library")]

mod addons;
mod auto_build;
mod build;
mod certificates;
mod crash_loop;
mod deploy;
mod dns_proofs;
mod drains;
mod failing_release;
mod filters;
mod git;
mod http3;
mod isolation;
#[cfg(feature = "failpoints")]
mod kill_each_step;
mod load_during_deploy;
mod logs;
mod metrics;
mod oneoffs;
mod promotion;
mod release_project;
mod restart_of_the_daemon;
mod restart_of_the_engine;
mod signal;
mod single_dyno;
mod sites;
mod socket_activation;
mod support;
mod upgrade;
