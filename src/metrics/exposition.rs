//! What is exported, family by family, and the text of it that Prometheus reads, format 0.0.4.
//!
//! Written by hand: a client library would keep a second copy of figures that other rooms count already, and the
//! format is three kinds of lines.

use std::fmt::Write as _;

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Everything that is exported.
#[derive(Debug, Default)]
pub(super) struct Exposition(Vec<Family>);

/// The samples of one metric.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    pub(super) samples: Vec<Sample>,
}

/// A name and a value.
type Label = (&'static str, String);

/// One value, and what tells it from the others of its metric.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) labels: Vec<Label>,
    pub(super) value: SampleValue,
}

#[derive(Debug)]
pub(super) enum SampleValue {
    Number(f64),
    Distribution(Distribution),
}

/// How values spread.
#[derive(Debug)]
pub(super) struct Distribution {
    /// Upper bounds of all buckets but the last, which has none.
    pub(super) bounds: &'static [f64],
    /// Of each bucket for itself; one more than the bounds.
    pub(super) counts: Vec<u64>,
    pub(super) sum: f64,
}

impl Exposition {
    /// Begins a metric; the help is one line.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> &mut Family {
        self.0.push_mut(Family { name, kind, help, samples: Vec::new() })
    }

    pub(super) fn families(&self) -> &[Family] {
        &self.0
    }

    pub(super) fn into_text(self) -> String {
        let mut text = String::new();
        for family in &self.0 {
            family.write(&mut text);
        }
        text
    }
}

impl Family {
    /// Adds a value.
    pub(super) fn add(&mut self, labels: &[(&'static str, &str)], value: f64) {
        self.push(labels, SampleValue::Number(value));
    }

    /// Adds a distribution; the family is a histogram.
    pub(super) fn add_distribution(&mut self, labels: &[(&'static str, &str)], distribution: Distribution) {
        self.push(labels, SampleValue::Distribution(distribution));
    }

    fn push(&mut self, labels: &[(&'static str, &str)], value: SampleValue) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.samples.push(Sample { labels, value });
    }

    fn write(&self, text: &mut String) {
        let Self { name, help, .. } = self;
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing into a string cannot fail.
        let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for sample in &self.samples {
            match &sample.value {
                SampleValue::Number(value) => self.write_line(text, "", (&sample.labels, None), *value),
                SampleValue::Distribution(distribution) => {
                    self.write_distribution(text, &sample.labels, distribution);
                }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^53")]
    fn write_distribution(&self, text: &mut String, labels: &[Label], distribution: &Distribution) {
        let bounds = distribution.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let mut below = 0;
        for (bound, count) in bounds.zip(&distribution.counts) {
            below += count;
            self.write_line(text, "_bucket", (labels, Some(("le", &bound))), below as f64);
        }
        self.write_line(text, "_sum", (labels, None), distribution.sum);
        self.write_line(text, "_count", (labels, None), below as f64);
    }

    fn write_line(
        &self,
        text: &mut String,
        suffix: &str,
        (labels, last): (&[Label], Option<(&str, &str)>),
        value: f64,
    ) {
        text.push_str(self.name);
        text.push_str(suffix);
        let labels = labels.iter().map(|(name, value)| (*name, value.as_str())).chain(last);
        let mut before = '{';
        for (name, value) in labels {
            text.push(before);
            text.push_str(name);
            text.push_str("=\"");
            push_escaped(text, value);
            text.push('"');
            before = ',';
        }
        if before == ',' {
            text.push('}');
        }
        let _infallible = writeln!(text, " {value}");
    }
}

fn push_escaped(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_family_has_its_help_its_type_and_its_samples() {
        let mut exposition = Exposition::default();
        let family = exposition.family("akkerisd_things", Kind::Gauge, "Things that are there.");
        family.add(&[], 3.0);
        family.add(&[("app", "a-b"), ("type", "web")], 0.5);
        assert_eq!(
            exposition.into_text(),
            "# HELP akkerisd_things Things that are there.\n# TYPE akkerisd_things gauge\nakkerisd_things 3\nakkerisd_things{app=\"a-b\",type=\"web\"} 0.5\n"
        );
    }

    proptest! {
        #[test]
        fn a_label_stays_within_its_quotes_and_its_line(value in "(?s).{0,40}") {
            let mut exposition = Exposition::default();
            exposition.family("a", Kind::Counter, "b").add(&[("l", &value)], 1.0);
            let text = exposition.into_text();
            prop_assert_eq!(text.split('\n').count(), 4);
            let line = text.split('\n').nth(2).unwrap();
            let inner = line.strip_prefix("a{l=\"").and_then(|rest| rest.strip_suffix("\"} 1")).unwrap();
            let back = inner.replace("\\\\", "\u{0}").replace("\\\"", "\"").replace("\\n", "\n").replace('\u{0}', "\\");
            prop_assume!(!value.contains('\u{0}'));
            prop_assert_eq!(back, value);
        }
    }
}
