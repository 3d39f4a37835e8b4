//! What of the engine's output goes into a build log: neither the lines about the added arguments nor the
//! value of a config var (`behaviour.md` §7).

use std::collections::BTreeSet;

use crate::model::config_var::REDACTED;

/// Values shorter than this are words of everyday and stay.
const SHORTEST: usize = 6;

/// Filters the lines of one build, in their order.
#[derive(Debug)]
pub struct LogFilter {
    names: BTreeSet<String>,
    /// Longest first, so that a value inside another does not break it up.
    secrets: Vec<Secret>,
    /// Whether the engine is at one of the added lines.
    in_added_step: bool,
}

impl LogFilter {
    /// `names` are the added arguments; `values` must not be seen.
    pub fn new<'v>(names: impl Iterator<Item = String>, values: impl Iterator<Item = &'v str>) -> Self {
        let secrets: BTreeSet<&str> = values
            .flat_map(|value| std::iter::once(value).chain(value.lines()))
            .map(str::trim)
            .filter(|value| value.len() >= SHORTEST)
            .collect();
        let mut secrets: Vec<Secret> = secrets.into_iter().map(|value| Secret(value.to_owned())).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.0.len()));
        Self { names: names.collect(), secrets, in_added_step: false }
    }

    /// The line as it may be shown; `None` when it is left out.
    pub fn line(&mut self, line: &str) -> Option<String> {
        if let Some(instruction) = step(line) {
            self.in_added_step = self.is_added(instruction);
        } else if line.trim_start().starts_with("Successfully ") {
            self.in_added_step = false;
        }
        if self.in_added_step || is_intermediate(line) {
            return None;
        }
        Some(self.redact(line))
    }

    /// The daemon's own arguments and labels.
    fn is_added(&self, instruction: &str) -> bool {
        if instruction.starts_with("LABEL akkeris.") {
            return true;
        }
        let mut words = instruction.split_whitespace();
        let (keyword, name, end) = (words.next(), words.next(), words.next());
        keyword == Some("ARG") && end.is_none() && name.is_some_and(|name| self.names.contains(name))
    }

    fn redact(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for secret in &self.secrets {
            if line.contains(&secret.0) {
                line = line.replace(&secret.0, REDACTED);
            }
        }
        line
    }
}

/// A value that must not be seen, not by `Debug` either.
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}

/// The instruction of a `Step 2/9 : RUN make`.
fn step(line: &str) -> Option<&str> {
    let (number, instruction) = line.trim_start().strip_prefix("Step ")?.split_once(" : ")?;
    number.bytes().all(|b| b.is_ascii_digit() || b == b'/').then_some(instruction)
}

/// Lines that only name a container or a layer between two steps.
fn is_intermediate(line: &str) -> bool {
    let line = line.trim();
    if line == "--->" {
        // What stands for the layer of FROM scratch.
        return true;
    }
    let Some(rest) = line.strip_prefix("---> ") else {
        return line.strip_prefix("Removing intermediate container ").is_some_and(is_id)
            || line.starts_with("[Warning] One or more build-args");
    };
    is_id(rest.strip_prefix("Running in ").unwrap_or(rest))
}

fn is_id(text: &str) -> bool {
    text.len() >= 12 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_of_added_arguments_and_ids_are_left_out() {
        let mut filter = LogFilter::new(["SECRET".to_owned()].into_iter(), [].into_iter());
        let log = [
            "Step 1/5 : FROM scratch",
            " --->",
            "Step 2/5 : ARG SECRET",
            " ---> Using cache",
            " ---> 0123456789ab",
            "Step 3/5 : ARG OTHER=1",
            " ---> Running in 0123456789ab",
            "hello",
            "Removing intermediate container 0123456789ab",
            " ---> 0123456789ab",
            "Step 5/5 : LABEL akkeris.app=x",
            "[Warning] One or more build-args [SECRET] were not consumed",
            "Successfully built 0123456789ab",
        ];
        let kept: Vec<String> = log.iter().filter_map(|line| filter.line(line)).collect();
        assert_eq!(
            kept,
            ["Step 1/5 : FROM scratch", "Step 3/5 : ARG OTHER=1", "hello", "Successfully built 0123456789ab"]
        );
    }

    #[test]
    fn a_value_of_several_lines_is_hidden_line_by_line_and_short_ones_stay() {
        let values = ["-----BEGIN-----\nabcdefgh\n", "abcdefghij", "on"];
        let mut filter = LogFilter::new([].into_iter(), values.into_iter());
        assert_eq!(filter.line("x abcdefgh on abcdefghij").unwrap(), "x [redacted] on [redacted]");
        assert!(!format!("{filter:?}").contains("abcdefgh"));
    }

    proptest! {
        #[test]
        fn no_value_is_ever_shown(value in "[a-zA-Z0-9/+=:@.]{6,40}", before in "[ -~]{0,20}", after in "[ -~]{0,20}") {
            let mut filter = LogFilter::new([].into_iter(), [value.as_str()].into_iter());
            let line = format!("{before}{value}{after}");
            prop_assume!(!REDACTED.contains(&value));
            let shown = filter.line(&line).unwrap_or_default();
            prop_assert!(!shown.contains(&value), "{}", shown);
        }
    }
}
