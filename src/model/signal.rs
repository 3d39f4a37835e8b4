//! Signals that a user sends to the processes of a dyno.

/// The number of a Linux signal, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Signal(u8);

impl Signal {
    /// The signal of `sh -c "kill -<number> -1"`, the one form of command that may be run beside a dyno's own
    /// (`behaviour.md` §6).
    pub fn of_command<S: AsRef<str>>(argv: &[S]) -> Option<Self> {
        let [shell, option, script] = argv else { return None };
        if (shell.as_ref(), option.as_ref()) != ("sh", "-c") {
            return None;
        }
        let number = script.as_ref().strip_prefix("kill -")?.strip_suffix(" -1")?;
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        number.parse().ok().filter(|number| digits && (1..=64).contains(number)).map(Self)
    }

    /// Takes a number that was checked when it was stored.
    pub fn from_stored(number: u8) -> Self {
        Self(number)
    }

    /// As the kernel counts it.
    pub fn number(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kill_of_all_processes_is_a_signal() {
        let number = |script| Signal::of_command(&["sh", "-c", script]).map(Signal::number);
        assert_eq!(
            (number("kill -1 -1"), number("kill -15 -1"), number("kill -64 -1")),
            (Some(1), Some(15), Some(64))
        );
        for script in [
            "",
            "kill",
            "kill -0 -1",
            "kill -65 -1",
            "kill -300 -1",
            "kill -+9 -1",
            "kill - -1",
            "kill -9 -2",
            "kill -9 1",
            "kill -TERM -1",
            " kill -9 -1",
            "kill -9 -1;id",
            "kill -9;id -1",
            "kill -9 -1 -1",
            "kill -9\n-1",
        ] {
            assert_eq!(number(script), None, "{script}");
        }
        assert_eq!(Signal::of_command(&["bash", "-c", "kill -9 -1"]), None);
        assert_eq!(Signal::of_command(&["sh", "-c", "kill -9 -1", "x"]), None);
        assert_eq!(Signal::of_command::<&str>(&[]), None);
    }
}
