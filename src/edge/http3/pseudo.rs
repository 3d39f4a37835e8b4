//! The order of the pseudo-headers of a field section, which h3 does not look at.
//!
//! RFC 9114 §4.3: each pseudo-header comes once at most, before all other fields, and none comes in trailers. Values
//! are h3's work, so is refusing what refers to a dynamic table (there is none) or is no QPACK at all.

/// What a field section belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Request,
    Trailers,
}

/// The pseudo-headers of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pseudo {
    Authority,
    Method,
    Path,
    Scheme,
    /// What a request must not have.
    Other,
}

/// The names as literals, plain and in the Huffman code of RFC 7541.
const LITERALS: [(Pseudo, &[u8], &[u8]); 4] = [
    (Pseudo::Authority, b":authority", &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f]),
    (Pseudo::Method, b":method", &[0xb9, 0x49, 0x53, 0x39, 0xe4]),
    (Pseudo::Path, b":path", &[0xb9, 0x58, 0xd3, 0x3f]),
    (Pseudo::Scheme, b":scheme", &[0xb8, 0x82, 0x4e, 0x5a, 0x4b]),
];

/// Whether the pseudo-headers of an encoded section (RFC 9204 §4.5) are where they may be. Yes for what cannot be
/// read: h3 refuses that.
pub(super) fn are_in_order(section: Section, encoded: &[u8]) -> bool {
    let mut lines = Lines(encoded);
    // The insert count and the base, which only matter with a dynamic table.
    let (Some(_), Some(_)) = (lines.integer(8), lines.integer(7)) else { return true };
    let mut seen = Vec::new();
    let mut fields = false;
    for name in lines {
        match name {
            None => fields = true,
            Some(pseudo) => {
                let misplaced = fields || section == Section::Trailers || pseudo == Pseudo::Other;
                if misplaced || seen.contains(&pseudo) {
                    return false;
                }
                seen.push(pseudo);
            }
        }
    }
    true
}

/// What is left of the lines of a section.
struct Lines<'a>(&'a [u8]);

impl Iterator for Lines<'_> {
    /// The pseudo-header that a line has, if it has one.
    type Item = Option<Pseudo>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = *self.0.first()?;
        match first {
            // Indexed, of the static table.
            0xc0.. => Some(of_static_table(self.integer(6)?)),
            // A literal with the name of a line of the static table.
            0x50..=0x5f | 0x70..=0x7f => {
                let name = of_static_table(self.integer(4)?);
                self.string(7)?;
                Some(name)
            }
            // A literal with a name of its own.
            0x20..=0x3f => {
                let huffman = first & 0x08 != 0;
                let name = of_literal(huffman, self.string(3)?);
                self.string(7)?;
                Some(name)
            }
            // What refers to a dynamic table.
            0x00..=0x1f | 0x40..=0x4f | 0x60..=0x6f | 0x80..=0xbf => None,
        }
    }
}

impl<'a> Lines<'a> {
    /// An integer in the last `bits` of a byte and those behind it (RFC 7541 §5.1).
    fn integer(&mut self, bits: u32) -> Option<usize> {
        let (first, mut rest) = self.0.split_first()?;
        let most = u8::MAX >> (8 - bits);
        let mut value = usize::from(first & most);
        if first & most == most {
            let mut shift = 0;
            loop {
                let (byte, behind) = rest.split_first()?;
                rest = behind;
                // As much as h3 reads, however an encoder pads.
                if shift > 56 {
                    return None;
                }
                value = value.checked_add(usize::from(byte & 0x7f) << shift)?;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        self.0 = rest;
        Some(value)
    }

    fn string(&mut self, bits: u32) -> Option<&'a [u8]> {
        let length = self.integer(bits)?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }
}

/// RFC 9204, appendix A.
fn of_static_table(index: usize) -> Option<Pseudo> {
    match index {
        0 => Some(Pseudo::Authority),
        1 => Some(Pseudo::Path),
        15..=21 => Some(Pseudo::Method),
        22 | 23 => Some(Pseudo::Scheme),
        24..=28 | 63..=71 => Some(Pseudo::Other),
        _ => None,
    }
}

fn of_literal(huffman: bool, name: &[u8]) -> Option<Pseudo> {
    let first = *name.first()?;
    // The code of the colon has seven bits.
    let colon = if huffman { first & 0xfe == 0xb8 } else { first == b':' };
    let known = LITERALS.iter().find(|(_, plain, coded)| name == if huffman { *coded } else { *plain });
    colon.then(|| known.map_or(Pseudo::Other, |(pseudo, _, _)| *pseudo))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `GET https` as lines of the static table.
    const START: [u8; 4] = [0, 0, 0xd1, 0xd7];

    fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
        let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let mut line = if name.len() < 7 { vec![0x20 | length(name)] } else { vec![0x27, length(name) - 7] };
        line.extend(name);
        line.push(length(value));
        line.extend(value);
        line
    }

    fn is_fine(lines: &[&[u8]]) -> bool {
        are_in_order(Section::Request, &[&START, &*lines.concat()].concat())
    }

    #[test]
    fn pseudo_headers_come_once_and_first() {
        let authority = [&[0x50, 6][..], b"a.test"].concat();
        assert!(is_fine(&[&authority, &[0xc1], &literal(b"x-a", b"1")]));
        assert!(is_fine(&[&literal(b":authority", b"a.test"), &literal(b":path", b"/")]));
        assert!(!is_fine(&[&authority, &authority]));
        assert!(!is_fine(&[&[0xc1], &literal(b":path", b"/")]), "by index and by name");
        assert!(!is_fine(&[&[0xd0]]), "another method");
        assert!(!is_fine(&[&literal(b"x-a", b"1"), &[0xc1]]));
        assert!(!is_fine(&[&[0xd9]]), "a status");
        assert!(!is_fine(&[&literal(b":protocol", b"websocket")]));
    }

    #[test]
    fn names_in_the_huffman_code_are_known_too() {
        for (pseudo, _, coded) in LITERALS {
            assert_eq!(of_literal(true, coded), Some(pseudo));
        }
        assert_eq!(of_literal(true, &[0xb8, 0xff]), Some(Pseudo::Other));
        assert_eq!(of_literal(true, &[0xf2, 0xb4]), None);
    }

    #[test]
    fn trailers_have_none() {
        let section = |lines: &[u8]| are_in_order(Section::Trailers, &[&[0, 0], lines].concat());
        assert!(section(&literal(b"x-sum", b"7")));
        assert!(!section(&[0xc1]));
    }

    #[test]
    fn what_cannot_be_read_is_left_to_h3() {
        for lines in
            [&[][..], &[0], &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &[0, 0, 0x27], &[0, 0, 0x10]]
        {
            assert!(are_in_order(Section::Request, lines), "{lines:?}");
        }
    }
}
