//! Header maps that have served, for the heads that this thread reads next: a map takes two allocations, of which one is
//! large.

use std::cell::RefCell;

use http::HeaderMap;

/// Maps that are kept, and the fields for which each may have room.
const MOST: usize = 64;
const MOST_ROOM: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// An empty map with room for so many fields.
pub(super) fn take(room: usize) -> HeaderMap {
    let mut headers = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    headers.reserve(room);
    headers
}

/// Keeps the room of a map whose fields are not needed any more.
pub(super) fn give_back(mut headers: HeaderMap) {
    headers.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < MOST && (1..=MOST_ROOM).contains(&headers.capacity()) {
            spare.push(headers);
        }
    });
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HOST;

    use super::*;

    #[test]
    fn nothing_of_a_message_is_in_the_next_one() {
        let mut headers = take(3);
        headers.append(HOST, HeaderValue::from_static("a"));
        headers.append(HOST, HeaderValue::from_static("b"));
        give_back(headers);
        let headers = take(3);
        assert!(headers.is_empty() && headers.get(HOST).is_none());
    }

    #[test]
    fn only_so_much_is_kept() {
        let kept = || SPARE.with_borrow(Vec::len);
        give_back(HeaderMap::new());
        give_back(HeaderMap::with_capacity(10 * MOST_ROOM));
        assert_eq!(kept(), 0);
        for _ in 0..2 * MOST {
            give_back(HeaderMap::with_capacity(MOST_ROOM / 2));
        }
        assert_eq!(kept(), MOST);
    }
}
