//! The text that Prometheus reads, format 0.0.4.
//!
//! Written by hand: a client library would keep a second copy of figures that other rooms count already, and the
//! format is three kinds of lines.

use std::fmt::Write as _;

/// What a value means to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text, family after family.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

/// The samples of one metric.
#[derive(Debug)]
pub(super) struct Family<'e> {
    text: &'e mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a metric; the help is one line.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let text = &mut self.0;
        // Writing into a string cannot fail.
        let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text, name }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        self.add_part("", labels, value);
    }

    /// Adds a sample of a histogram: `_bucket`, `_sum` or `_count`.
    pub(super) fn add_part(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            push_escaped(self.text, value);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _infallible = writeln!(self.text, " {value}");
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
        let mut family = exposition.family("akkerisd_things", Kind::Gauge, "Things that are there.");
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
