//! How the system schedules the thread of a worker.
//!
//! Whoever sends something to a worker wakes it, and the system lets it run at once, amid the turn of another. With much
//! to do that makes many short turns of a request or two. So a busy worker waits for its turn (`SCHED_BATCH`, sched(7)):
//! it finds more requests there, and fewer switches are paid for. One with little to do is still let in at once.

use std::cell::Cell;

use preempt_rt::sched::{Pid, RtResult, Scheduler, SchedulerParams, get_scheduler, set_scheduler};

/// Shares of a worker's time that it works, per mille: above so much it waits for its turn, below so much no longer.
const MUCH: u64 = 500;
const LITTLE: u64 = 300;

/// The policy of a worker's thread. One that somebody else has set stays as it is.
#[derive(Debug)]
pub(super) struct Scheduling(Cell<Scheduler>);

impl Scheduling {
    pub(super) fn new() -> Self {
        Self(Cell::new(Scheduler::SCHED_NORMAL))
    }

    /// Suits the calling thread, whose policy this is, to the share of its time that it works (per mille).
    pub(super) fn suit(&self, busy: u64) {
        let wanted = match busy {
            ..LITTLE => Scheduler::SCHED_NORMAL,
            LITTLE..=MUCH => return,
            _ => Scheduler::SCHED_BATCH,
        };
        let present = self.0.get();
        if present == wanted {
            return;
        }
        match change(present, wanted) {
            Ok(true) => self.0.set(wanted),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, ?wanted, "the system keeps its way of scheduling a worker"),
        }
    }
}

/// Tells whether the thread had the policy that is to be changed.
fn change(from: Scheduler, to: Scheduler) -> RtResult<bool> {
    let thread = Pid::current_thread();
    if get_scheduler(thread)? != from {
        return Ok(false);
    }
    set_scheduler(thread, to, SchedulerParams { priority: 0 })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn policy() -> Scheduler {
        get_scheduler(Pid::current_thread()).unwrap()
    }

    #[test]
    fn a_worker_waits_for_its_turn_while_it_is_busy() {
        let policies = thread::spawn(|| {
            let scheduling = Scheduling::new();
            [500, 501, 300, 299, 1_000].map(|busy| {
                scheduling.suit(busy);
                policy()
            })
        });
        let (normal, batch) = (Scheduler::SCHED_NORMAL, Scheduler::SCHED_BATCH);
        assert_eq!(policies.join().unwrap(), [normal, batch, batch, normal, batch]);
    }

    #[test]
    fn the_policy_that_an_operator_has_chosen_stays() {
        let policies = thread::spawn(|| {
            let scheduling = Scheduling::new();
            set_scheduler(Pid::current_thread(), Scheduler::SCHED_IDLE, SchedulerParams { priority: 0 })
                .unwrap();
            [1_000, 0].map(|busy| {
                scheduling.suit(busy);
                policy()
            })
        });
        assert_eq!(policies.join().unwrap(), [Scheduler::SCHED_IDLE; 2]);
    }
}
