//! Connections over HTTP/1.1 go from one worker to another, between two of their requests.
//!
//! The system spreads connections over the workers before anybody knows what will come by them. So a worker with much to
//! do hands half of its connections to one that has time. And while there is little to do at all, the first worker does
//! it: waking two threads for what one can do costs more than the requests themselves.
//!
//! Invariant: a connection is always somebody's, and counts wherever it is limited: one that cannot go stays.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::census::Room;
use super::headers::CameBy;
use super::http1::{StillStream, Wire};
use super::proxy::Client;
use super::scheduling::Scheduling;
use super::worker::{Worker, serve_http1};

/// A worker looks at its load each time that it has had so many requests, when so long has passed; what it did over a
/// longer time says nothing about now.
const LOOK_EACH: u64 = 8;
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);
/// Shares of a worker's time that it works, per mille: so much of one is little for all of them together, and above so
/// much one gives to those that are below that.
const LITTLE: u64 = 250;
const MUCH: u64 = 500;
const LEISURE: u64 = 300;
/// Connections on their way to one worker; those that find no place stay.
const DOOR: usize = 256;

/// A connection without a request, on its way.
#[derive(Debug)]
pub(super) struct Handover {
    stream: StillStream,
    came_by: CameBy,
    redirected: bool,
    server_name: Option<Box<str>>,
    room: Room,
}

/// A connection, which the body of a request shares while it is open.
type SharedWire = Rc<RefCell<Wire>>;

/// What the workers know of each of them.
#[derive(Debug)]
pub(super) struct Peer {
    door: mpsc::Sender<Handover>,
    told: Told,
}

/// How busy a worker was when it last looked, in one number: milliseconds, then per mille.
#[derive(Debug, Default)]
struct Told(AtomicU64);

/// The load of a worker, how it is scheduled for that, and what is to go to others.
pub(super) struct Load {
    number: usize,
    peers: Arc<[Peer]>,
    start: Instant,
    looked: Cell<(Instant, Duration)>,
    scheduling: Scheduling,
    connections: Cell<usize>,
    going: Cell<Option<Going>>,
}

/// So many connections are to go to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Going {
    to: usize,
    left: usize,
}

/// Counts a connection of its worker; dropping it counts it out.
pub(super) struct Served(Rc<Worker>);

impl Peer {
    /// A worker, and where the connections come out that are handed to it.
    pub(super) fn new() -> (Self, mpsc::Receiver<Handover>) {
        let (door, arriving) = mpsc::channel(DOOR);
        (Self { door, told: Told::default() }, arriving)
    }
}

impl Told {
    fn tell(&self, at: Duration, busy: u64) {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        self.0.store((millis << 10) | busy.min(1_000), Ordering::Relaxed);
    }

    /// Nothing for long is nothing to do.
    fn busy(&self, at: Duration) -> u64 {
        let (told, millis) = (self.0.load(Ordering::Relaxed), u64::try_from(at.as_millis()).unwrap_or(0));
        if u128::from(millis.saturating_sub(told >> 10)) > LONGEST.as_millis() { 0 } else { told & 1_023 }
    }
}

impl Load {
    /// That of one worker among all; `start` is the same for each.
    pub(super) fn new(number: usize, peers: Arc<[Peer]>, start: Instant) -> Self {
        let looked = Cell::new((start, Duration::ZERO));
        Self {
            number,
            peers,
            start,
            looked,
            scheduling: Scheduling::new(),
            connections: Cell::new(0),
            going: Cell::new(None),
        }
    }

    /// Notes how many requests of any protocol the worker has had. Must be called on its runtime.
    pub(super) fn note_requests(&self, requests: u64) {
        if requests.is_multiple_of(LOOK_EACH) {
            self.look(Instant::now(), Handle::current().metrics().worker_total_busy_duration(0));
        }
    }

    /// Tells the system and the others how busy this one was, and decides what shall go to them.
    fn look(&self, now: Instant, worked: Duration) {
        let (before, worked_before) = self.looked.get();
        let passed = now.saturating_duration_since(before);
        if passed < SHORTEST {
            return;
        }
        self.looked.set((now, worked));
        self.going.set(None);
        let busy = worked.saturating_sub(worked_before).as_micros() * 1_000 / passed.as_micros();
        let busy = u64::try_from(busy).unwrap_or(u64::MAX);
        self.scheduling.suit(busy);
        if passed > LONGEST {
            return;
        }
        let at = now.saturating_duration_since(self.start);
        if let Some(own) = self.peers.get(self.number) {
            own.told.tell(at, busy);
        }
        let busy: Vec<u64> = self.peers.iter().map(|peer| peer.told.busy(at)).collect();
        self.going.set(decide(self.number, &busy, self.connections.get()));
    }
}

/// What shall go from a worker with so many connections, when the workers are so busy.
fn decide(number: usize, busy: &[u64], connections: usize) -> Option<Going> {
    if busy.iter().sum::<u64>() < LITTLE {
        return (number > 0).then_some(Going { to: 0, left: connections });
    }
    let (to, least) = busy.iter().enumerate().min_by_key(|(_, busy)| **busy)?;
    let gives = busy.get(number).is_some_and(|own| *own > MUCH) && *least < LEISURE;
    gives.then_some(Going { to, left: connections / 2 })
}

impl Served {
    /// Counts a connection over HTTP/1.1.
    pub(super) fn new(worker: &Rc<Worker>) -> Self {
        worker.load.connections.update(|connections| connections + 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.load.connections.update(|connections| connections - 1);
    }
}

/// Hands a connection whose request is answered to the worker that is to have it. Gives it back when none is, or it
/// cannot go now.
pub(super) fn hand_over(client: &Client, wire: SharedWire, room: Room) -> Option<(SharedWire, Room)> {
    let load = &client.worker.load;
    let Some(going) = load.going.get().filter(|going| going.left > 0) else { return Some((wire, room)) };
    if client.worker.is_stopping() || !wire.borrow_mut().is_still() {
        return Some((wire, room));
    }
    let Some(Ok(door)) = load.peers.get(going.to).map(|peer| peer.door.try_reserve()) else {
        return Some((wire, room));
    };
    let wire = match Rc::try_unwrap(wire) {
        Ok(wire) => wire.into_inner(),
        Err(shared) => return Some((shared, room)),
    };
    load.going.set(Some(Going { left: going.left - 1, ..going }));
    match wire.into_still() {
        Ok(stream) => door.send(Handover {
            stream,
            came_by: client.came_by.clone(),
            redirected: client.redirected,
            server_name: client.server_name.clone(),
            room,
        }),
        Err(error) => tracing::debug!(%error, "a connection is lost between two workers"),
    }
    None
}

/// Serves connections that other workers hand over, to the last that they gave before a drain began.
pub(super) async fn take_over(worker: Rc<Worker>, mut arriving: mpsc::Receiver<Handover>) {
    loop {
        tokio::select! {
            handover = arriving.recv() => match handover {
                Some(handover) => drop(worker.clients.spawn_local(go_on(Rc::clone(&worker), handover))),
                None => return,
            },
            () = worker.stop.token.cancelled(), if !arriving.is_closed() => arriving.close(),
        }
    }
}

/// Serves a connection that began on another worker.
async fn go_on(worker: Rc<Worker>, handover: Handover) {
    worker.counters.taken_over.increment();
    let Handover { stream, came_by, redirected, server_name, room } = handover;
    let client = worker.client(came_by, redirected, server_name);
    client.activity.resume();
    let served = match stream.go_on() {
        Ok(stream) => serve_http1(client, stream, room).await.map_err(io::Error::other),
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a client's connection ended");
    }
    worker.counters.closed_connections.increment();
}

#[cfg(test)]
mod tests {
    use preempt_rt::sched::{Pid, Scheduler, get_scheduler};

    use super::*;

    #[test]
    fn while_there_is_little_to_do_the_first_worker_does_it_all() {
        assert_eq!(decide(2, &[100, 0, 100], 7), Some(Going { to: 0, left: 7 }));
        assert_eq!(decide(0, &[100, 0, 100], 7), None);
        assert_eq!(decide(2, &[150, 0, 100], 7), None);
    }

    #[test]
    fn who_has_much_to_do_gives_half_to_the_one_with_the_most_time() {
        assert_eq!(decide(0, &[900, 200, 100], 7), Some(Going { to: 2, left: 3 }));
        assert_eq!(decide(0, &[900, 300, 300], 7), None, "nobody has time");
        assert_eq!(decide(0, &[500, 0, 0], 7), None, "it is not that much");
        assert_eq!(decide(1, &[0, 900], 1), Some(Going { to: 0, left: 0 }), "one alone stays");
    }

    #[test]
    fn a_worker_tells_how_busy_it_was_and_who_has_told_nothing_for_long_has_nothing_to_do() {
        let peers: Arc<[Peer]> = (0..2).map(|_| Peer::new().0).collect();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let policy = || get_scheduler(Pid::current_thread()).unwrap();
        let told = |millis, peer: usize| peers[peer].told.busy(Duration::from_millis(millis));
        let load = Load::new(1, Arc::clone(&peers), start);
        load.connections.set(4);
        load.look(at(50), Duration::from_millis(50));
        assert_eq!(told(50, 1), 0, "so short a time says nothing");
        load.look(at(200), Duration::from_millis(140));
        assert_eq!((told(200, 0), told(200, 1)), (0, 700));
        assert_eq!(load.going.get(), Some(Going { to: 0, left: 2 }));
        assert_eq!(policy(), Scheduler::SCHED_BATCH);
        assert_eq!((told(1_200, 1), told(1_201, 1)), (700, 0));
        load.look(at(1_201), Duration::from_millis(150));
        assert_eq!(load.going.get(), None, "neither does so long a time");
        assert_eq!(policy(), Scheduler::SCHED_NORMAL, "but it was not busy");
        load.look(at(1_401), Duration::from_millis(160));
        assert_eq!((told(1_401, 1), load.going.get()), (50, Some(Going { to: 0, left: 4 })));
    }
}
