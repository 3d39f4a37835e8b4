//! The counters of `/proc/<pid>/net/dev`: what a dyno received and sent.

/// Sums over all interfaces but loopback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) receive_bytes: u64,
    pub(super) receive_errors: u64,
    pub(super) transmit_bytes: u64,
    pub(super) transmit_errors: u64,
}

/// Reads the table; `None` when it is none.
pub(super) fn parse(text: &str) -> Option<Traffic> {
    let mut sum = Traffic::default();
    for line in text.lines().skip(2) {
        let (name, counters) = line.split_once(':')?;
        if name.trim() == "lo" {
            continue;
        }
        let counters: Vec<u64> = counters.split_whitespace().map_while(|field| field.parse().ok()).collect();
        // Eight columns of what came, then eight of what went; bytes and errors are the first and third of each.
        let &[receive_bytes, _, receive_errors, _, _, _, _, _, transmit_bytes, _, transmit_errors, ..] =
            counters.as_slice()
        else {
            return None;
        };
        sum.receive_bytes = sum.receive_bytes.saturating_add(receive_bytes);
        sum.receive_errors = sum.receive_errors.saturating_add(receive_errors);
        sum.transmit_bytes = sum.transmit_bytes.saturating_add(transmit_bytes);
        sum.transmit_errors = sum.transmit_errors.saturating_add(transmit_errors);
    }
    text.starts_with("Inter-|").then_some(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";

    #[test]
    fn all_interfaces_but_loopback_are_added_up() {
        let text = format!(
            "{HEAD}    lo:     100       1    1    0    0     0          0         0      100       1    1    0    0     0       0          0\n  eth0:     310       3    2    0    0     0          0         0       70       1    4    0    0     0       0          0\n  eth1:1000 1 0 0 0 0 0 0 2000 2 0 0 0 0 0 0\n"
        );
        let expected =
            Traffic { receive_bytes: 1310, receive_errors: 2, transmit_bytes: 2070, transmit_errors: 4 };
        assert_eq!(parse(&text), Some(expected));
        assert_eq!(parse(HEAD), Some(Traffic::default()));
    }

    #[test]
    fn what_is_no_such_table_is_unknown() {
        assert_eq!(parse(""), None);
        assert_eq!(parse(&format!("{HEAD} eth0: 1 2 3\n")), None);
        assert_eq!(parse(&format!("{HEAD} eth0 1 2 3\n")), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(?s).{0,200}") {
            prop_assert!(parse(&text).is_none() || text.starts_with("Inter-|"));
        }
    }
}
