//! Points at which a test lets the daemon die. Without the cargo feature `failpoints` nothing happens here.

use crate::model::journal::JournalStep;

/// Ends the process at once, as a power cut would, when a test chose this step with
/// [`abort_at`]; otherwise returns.
#[cfg(feature = "failpoints")]
pub fn reached(step: JournalStep) {
    if CHOSEN.get() == Some(&step) {
        std::process::abort();
    }
}

/// Does nothing: the daemon was built without `failpoints`.
#[cfg(not(feature = "failpoints"))]
pub fn reached(_step: JournalStep) {}

#[cfg(feature = "failpoints")]
static CHOSEN: std::sync::OnceLock<JournalStep> = std::sync::OnceLock::new();

/// Chooses the step at which the process ends. The first choice stays.
#[cfg(feature = "failpoints")]
pub fn abort_at(step: JournalStep) {
    CHOSEN.get_or_init(|| step);
}
