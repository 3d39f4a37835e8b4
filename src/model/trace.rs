//! Traces: the context that requests carry (W3C Trace Context), and which of them are recorded.
//!
//! Invariant: no id of a trace or of a span is zero.

use std::fmt;

/// Names one trace: 16 bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// Names one span of a trace: 8 bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

/// What the header `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    pub trace: TraceId,
    /// The span of the caller.
    pub span: SpanId,
    /// The caller records its own span.
    pub sampled: bool,
}

/// A span that is to be recorded, and its place in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traced {
    pub trace: TraceId,
    pub span: SpanId,
    /// `None` where the trace begins here.
    pub parent: Option<SpanId>,
}

/// Decides which spans are recorded: those whose caller's is, and a share of those that have no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    /// Of 2^64.
    share: u128,
}

impl TraceContext {
    /// Reads `00-<32 hexadecimal digits>-<16>-<2>`, or a later version that begins so (W3C Trace Context §3.2).
    pub fn parse(header: &str) -> Option<Self> {
        let mut fields = header.trim().split('-');
        let (version, trace) = (hex(fields.next()?, 2)?, hex(fields.next()?, 32)?);
        let (span, flags) = (hex(fields.next()?, 16)?, hex(fields.next()?, 2)?);
        let known = match version {
            0 => fields.next().is_none(),
            version => version != 0xff,
        };
        let (trace, span) = (TraceId::new(trace)?, SpanId::new(u64::try_from(span).ok()?)?);
        known.then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

impl TraceId {
    /// `None` for zero.
    pub fn new(id: u128) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }
}

impl SpanId {
    /// `None` for zero.
    pub fn new(id: u64) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }
}

impl Traced {
    /// What the header `traceparent` says to whom this span calls.
    pub fn context(self) -> TraceContext {
        TraceContext { trace: self.trace, span: self.span, sampled: true }
    }
}

impl Sampler {
    /// Records this share, 0 to 1, of the traces that begin here.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the product lies between 0 and 2^64"
    )]
    pub fn new(ratio: f64) -> Self {
        Self { share: (ratio.clamp(0.0, 1.0) * 2_f64.powi(64)) as u128 }
    }

    /// A span with ids out of `random`; `None` when it is not to be recorded.
    pub fn begin(self, caller: Option<TraceContext>, random: (u128, u64)) -> Option<Traced> {
        let span = SpanId::new(random.1)?;
        match caller {
            Some(caller) => {
                let traced = Traced { trace: caller.trace, span, parent: Some(caller.span) };
                caller.sampled.then_some(traced)
            }
            None => self.begin_at(TraceId::new(random.0)?, span),
        }
    }

    /// The first span of the trace of a thing with this id, so that who knows the thing finds its trace.
    pub fn begin_of(self, thing: uuid::Uuid) -> Option<Traced> {
        self.begin_at(TraceId::new(thing.as_u128())?, SpanId::new(thing.as_u64_pair().1)?)
    }

    fn begin_at(self, trace: TraceId, span: SpanId) -> Option<Traced> {
        // Of a UUID of version 7 only the last 32 bits are random; a counter stands above them.
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
        let place = (trace.0 as u64) << 32;
        (u128::from(place) < self.share).then_some(Traced { trace, span, parent: None })
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The form of `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// A number of exactly that many lower-case digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let usable = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if usable { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_standard_is_read_and_written_alike() {
        let context = TraceContext::parse(EXAMPLE).unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_string(), EXAMPLE);
        let later = EXAMPLE.replacen("00-", "cc-", 1) + "-what-the-future-will-be-like";
        assert_eq!(TraceContext::parse(&later), Some(context));
    }

    #[test]
    fn what_the_standard_calls_invalid_is_no_context() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        let (upper, longer) = (EXAMPLE.to_uppercase(), format!("{EXAMPLE}-01"));
        let forbidden = EXAMPLE.replacen("00-", "ff-", 1);
        for wrong in ["", "00", "00--", &zero_trace, &zero_span, &upper, &longer, &forbidden] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_caller_decides_for_its_trace_and_the_share_for_new_ones() {
        let (never, always) = (Sampler::new(0.0), Sampler::new(1.0));
        let caller = TraceContext::parse(EXAMPLE).unwrap();
        let traced = never.begin(Some(caller), (1, 2)).unwrap();
        assert_eq!((traced.trace, traced.parent), (caller.trace, Some(caller.span)));
        assert_eq!(always.begin(Some(TraceContext { sampled: false, ..caller }), (1, 2)), None);
        assert_eq!(never.begin(None, (1, 2)), None);
        assert_eq!(always.begin(None, (u128::MAX, 2)).unwrap().parent, None);
    }

    #[test]
    fn about_half_of_the_things_are_traced_when_half_shall_be() {
        let half = Sampler::new(0.5);
        let traced = (0..1000).filter(|_| half.begin_of(uuid::Uuid::now_v7()).is_some()).count();
        assert!((350..650).contains(&traced), "{traced}");
        let id: uuid::Uuid = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736".parse().unwrap();
        let traced = Sampler::new(1.0).begin_of(id).unwrap();
        assert_eq!(traced.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_and_what_is_read_is_written_alike(
            text in "[0-9a-f-]{0,60}", trace in 1_u128.., span in 1_u64.., sampled: bool
        ) {
            if let Some(context) = TraceContext::parse(&text) {
                prop_assert!(TraceContext::parse(&context.to_string()).is_some());
            }
            let context = TraceContext { trace: TraceId(trace), span: SpanId(span), sampled };
            prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
        }
    }
}
