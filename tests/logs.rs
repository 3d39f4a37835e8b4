//! The ring of an app's log: what was appended is what is read, through rotations, restarts and crashes.

mod collection;
mod floods;

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;

use akkerisd::logs::Reader;
use akkerisd::logs::ring::{Checkpoint, Ring, Taken};
use akkerisd::model::log::{LogFilter, LogLine, LogSource, SourceKind};
use akkerisd::model::time::Timestamp;
use proptest::prelude::*;

const LIMIT: u64 = 32 * 1024;

/// What happens to a ring.
#[derive(Debug, Clone)]
enum Step {
    /// Lines of these lengths in one append.
    Append(Vec<usize>),
    Reopen,
    /// The daemon dies while this many of the last bytes are not written yet.
    Crash(u64),
}

/// A ring, and the naive list that it must be like.
struct Subject {
    ring: Arc<Ring>,
    lines: Vec<String>,
    /// The positions at which appends ended.
    ends: Vec<u64>,
    /// Bytes that the last append wrote at least, and that a crash can have torn.
    fresh: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => prop::collection::vec(0_usize..1_500, 1..8).prop_map(Step::Append),
        1 => Just(Step::Reopen),
        1 => (1_u64..3_000).prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..120)
}

fn line(number: usize, length: usize) -> String {
    format!("{number} {}", "x".repeat(length))
}

fn source(number: usize) -> LogSource {
    if number.is_multiple_of(7) { LogSource::Build } else { LogSource::Router }
}

fn texts(lines: &[LogLine]) -> Vec<String> {
    lines.iter().map(|line| line.text().to_owned()).collect()
}

fn cut_newest(folder: &Path, bytes: u64) {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    let newest = OpenOptions::new().write(true).open(files.iter().max().unwrap()).unwrap();
    let length = newest.metadata().unwrap().len();
    newest.set_len(length.saturating_sub(bytes)).unwrap();
}

async fn all_from(ring: &Arc<Ring>, position: u64) -> (u64, Vec<String>) {
    let mut reader = Reader::new(Arc::clone(ring), position);
    let (mut missed, mut read) = (0, Vec::new());
    loop {
        let chunk = reader.available().await.unwrap();
        if chunk.lines.is_empty() && chunk.missed == 0 {
            return (missed, read);
        }
        missed += chunk.missed;
        read.extend(texts(&chunk.lines));
    }
}

impl Subject {
    fn append(&mut self, lengths: &[usize]) {
        let first = self.lines.len();
        let numbered: Vec<(usize, String)> =
            (first..).zip(lengths).map(|(number, length)| (number, line(number, *length))).collect();
        let at = Timestamp::from_millis(first.try_into().unwrap());
        let lines: Vec<LogLine> =
            numbered.iter().map(|(number, text)| LogLine::new(at, source(*number), text)).collect();
        self.fresh = lines.iter().map(|line| line.text().len() as u64).sum();
        self.lines.extend(numbered.into_iter().map(|(_, text)| text));
        let taken = Taken { nanos: self.lines.len().try_into().unwrap(), count: 1, within_line: false };
        let container = "dyno".to_owned();
        let checkpoint = Checkpoint { container, since: 0, stdout: taken, stderr: Taken::default() };
        self.ring.append(&lines, Some(checkpoint)).unwrap();
        self.ends.push(self.lines.len() as u64);
    }

    /// Opens the ring again; what a crash took must be whole appends, with their checkpoints.
    fn reopen(&mut self, folder: &Path) {
        self.ring = Arc::new(Ring::open(folder, LIMIT).unwrap());
        let (_, next) = self.ring.bounds();
        self.ends.retain(|end| *end <= next);
        assert_eq!(self.ends.last().copied().unwrap_or(0), next);
        self.lines.truncate(usize::try_from(next).unwrap());
        let taken = self.ring.checkpoint("dyno").map_or(0, |checkpoint| checkpoint.stdout.nanos);
        assert_eq!(u64::try_from(taken).unwrap(), next);
    }

    async fn check(&self, position: u64) {
        let (oldest, next) = self.ring.bounds();
        assert_eq!(next, self.lines.len() as u64);
        assert!(self.ring.bytes() <= LIMIT);
        let (missed, read) = all_from(&self.ring, position).await;
        let from = position.clamp(oldest, next);
        assert_eq!(missed, oldest.saturating_sub(position.min(next)));
        assert_eq!(read, self.lines.get(usize::try_from(from).unwrap()..).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_ring_is_like_a_list_that_forgets_its_oldest_lines(steps in steps(), from in any::<prop::sample::Index>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ring = Arc::new(Ring::open(dir.path(), LIMIT).unwrap());
        let mut subject = Subject { ring, lines: Vec::new(), ends: Vec::new(), fresh: 0 };
        for step in steps {
            match step {
                Step::Append(lengths) => subject.append(&lengths),
                Step::Reopen => subject.reopen(dir.path()),
                Step::Crash(bytes) => {
                    cut_newest(dir.path(), bytes.min(subject.fresh));
                    subject.fresh = 0;
                    subject.reopen(dir.path());
                }
            }
        }
        runtime.block_on(subject.check(0));
        runtime.block_on(subject.check(from.index(subject.lines.len() + 2) as u64));
    }
}

#[test]
fn the_last_lines_are_counted_among_those_that_are_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Arc::new(Ring::open(dir.path(), LIMIT).unwrap());
    let mut subject = Subject { ring, lines: Vec::new(), ends: Vec::new(), fresh: 0 };
    (0..40).for_each(|_| subject.append(&[100; 5]));
    let builds = LogFilter { kind: Some(SourceKind::Build), dyno: None };
    let ring = &subject.ring;
    assert_eq!(ring.position_of_last(3, &LogFilter::default()).unwrap(), 197);
    assert_eq!(ring.position_of_last(3, &builds).unwrap(), 182);
    let (oldest, _) = ring.bounds();
    assert_eq!(ring.position_of_last(1_000, &builds).unwrap(), oldest.next_multiple_of(7));
    assert_eq!(ring.position_of_last(0, &builds).unwrap(), 200);
}

#[tokio::test]
async fn a_reader_is_woken_by_an_append_and_ends_with_its_app() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Arc::new(Ring::open(&dir.path().join("app"), LIMIT).unwrap());
    let mut reader = Reader::new(Arc::clone(&ring), 0);
    let line = LogLine::new(Timestamp::from_millis(1), LogSource::Build, "one");
    let append = async { ring.append(std::slice::from_ref(&line), None).unwrap() };
    let (chunk, ()) = tokio::join!(reader.next(), append);
    let chunk = chunk.unwrap().unwrap();
    assert_eq!((chunk.missed, chunk.next), (0, 1));
    assert_eq!(chunk.lines, [line]);
    let (ended, ()) = tokio::join!(reader.next(), async { ring.remove().unwrap() });
    assert_eq!(ended.unwrap(), None);
    assert!(!dir.path().join("app").exists());
}

#[test]
fn a_power_cut_that_took_the_newest_segment_leaves_what_was_taken_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Arc::new(Ring::open(dir.path(), LIMIT).unwrap());
    let mut subject = Subject { ring, lines: Vec::new(), ends: Vec::new(), fresh: 0 };
    (0..20).for_each(|_| subject.append(&[500; 2]));
    for _ in 0..2 {
        cut_newest(dir.path(), u64::MAX);
        subject.reopen(dir.path());
        assert!(!subject.lines.is_empty());
        subject.append(&[1]);
        subject.reopen(dir.path());
    }
}

#[tokio::test]
async fn what_a_power_cut_damaged_is_missed_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Arc::new(Ring::open(dir.path(), LIMIT).unwrap());
    let mut subject = Subject { ring, lines: Vec::new(), ends: Vec::new(), fresh: 0 };
    (0..20).for_each(|_| subject.append(&[500; 2]));
    let mut files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let second = std::fs::read(&files[1]).unwrap();
    std::fs::write(&files[1], vec![0; second.len()]).unwrap();
    let (missed, read) = all_from(&subject.ring, 0).await;
    let builds = LogFilter { kind: Some(SourceKind::Build), dyno: None };
    assert_eq!(subject.ring.position_of_last(1_000, &builds).unwrap(), 0);
    assert!(missed > 0);
    assert_eq!(missed + read.len() as u64, 40);
    assert_eq!(read.last(), subject.lines.last());
}
