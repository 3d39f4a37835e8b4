//! The Dockerfile of a source: required, and given an `ARG` line for each variable after every `FROM`.
//!
//! Invariant: apart from the added lines the text is the user's, byte for byte.

use crate::model::RuleError;

/// Takes the Dockerfile of the root as text, or says what to add.
pub fn require(dockerfile: Option<&[u8]>, root: &[String]) -> Result<String, RuleError> {
    let Some(content) = dockerfile else { return Err(missing(root)) };
    let text = std::str::from_utf8(content)
        .map_err(|_| RuleError::new("The Dockerfile is not usable: it is not UTF-8 text."))?;
    if text.trim().is_empty() {
        return Err(RuleError::new(
            "The Dockerfile is empty. It has to begin with FROM and the image to build upon.",
        ));
    }
    Ok(text.to_owned())
}

/// A variable's name as a build argument: only letters, digits and underscores stay (`behaviour.md` §7).
pub fn argument_name(name: &str) -> Option<String> {
    let reduced: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!reduced.is_empty()).then_some(reduced)
}

/// The text with `ARG <name>` for each name after every `FROM`, so that each stage sees the variables, and
/// with a label (`name=value`) by which the engine finds the stage again.
pub fn inject<'n>(text: &str, names: impl Iterator<Item = &'n str>, label: &str) -> String {
    let mut added: String = names.flat_map(|name| ["ARG ", name, "\n"]).collect();
    added.extend(["LABEL ", label, "\n"]);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let escape = escape_character(&lines);
    let mut out = String::with_capacity(text.len() + added.len() * 2);
    let mut rest = lines.as_slice();
    while !rest.is_empty() {
        let (instruction, after) = rest.split_at(instruction_length(rest, escape));
        out.extend(instruction.iter().copied());
        if is_from(instruction) {
            if !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(&added);
        }
        rest = after;
    }
    out
}

fn missing(root: &[String]) -> RuleError {
    let near = root.iter().find(|name| name.eq_ignore_ascii_case(super::unpack::DOCKERFILE));
    let hint = match near {
        Some(name) => format!("Rename \"{name}\" to \"Dockerfile\"."),
        None => format!(
            "The root holds: {}. Add a file named Dockerfile that says how the image is built, for example: \
             FROM node:22 / COPY . /app / WORKDIR /app / RUN npm ci / CMD [\"npm\", \"start\"].",
            root.join(", ")
        ),
    };
    RuleError::new(format!("There is no Dockerfile at the root of the source. {hint}"))
}

/// The continuation character: a backslash, or what a directive at the very top chooses.
fn escape_character(lines: &[&str]) -> char {
    for line in lines {
        let line = line.trim_start_matches('\u{feff}').trim();
        let Some(directive) = line.strip_prefix('#') else { break };
        let Some((name, value)) = directive.split_once('=') else { break };
        if name.trim().eq_ignore_ascii_case("escape") {
            return if value.trim() == "`" { '`' } else { '\\' };
        }
    }
    '\\'
}

/// How many lines the instruction at the start takes, with its continuations and here-documents; one for a
/// comment or an empty line.
fn instruction_length(lines: &[&str], escape: char) -> usize {
    let Some(first) = lines.first() else { return 0 };
    if is_blank_or_comment(first) {
        return 1;
    }
    let mut length = 0;
    let mut text = String::new();
    for line in lines {
        length += 1;
        if length > 1 && is_blank_or_comment(line) {
            // Comments and empty lines do not end a continued instruction.
            continue;
        }
        let Some(part) = line.trim_end().strip_suffix(escape) else {
            text.push_str(line);
            break;
        };
        text.push_str(part);
    }
    length + here_documents(&text, lines.get(length..).unwrap_or_default())
}

fn is_blank_or_comment(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn is_from(instruction: &[&str]) -> bool {
    let text = instruction.first().map_or("", |line| line.trim_start_matches('\u{feff}').trim_start());
    text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("from"))
        && text.chars().nth(4).is_some_and(|c| c.is_whitespace() || c == '\\' || c == '`')
}

/// How many of the following lines belong to the here-documents that an instruction opens. One that is never
/// closed is none.
fn here_documents(instruction: &str, lines: &[&str]) -> usize {
    let keyword = instruction.split_whitespace().next().unwrap_or_default();
    if !["run", "copy", "add"].iter().any(|word| keyword.eq_ignore_ascii_case(word)) {
        return 0;
    }
    let mut length = 0;
    for word in instruction.split_whitespace().skip(1) {
        let Some(opened) = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<") else {
            continue;
        };
        let (tabs, name) = opened.strip_prefix('-').map_or((false, opened), |name| (true, name));
        let name = name.trim_matches(['"', '\'']);
        if name.is_empty() || name.starts_with('<') {
            continue;
        }
        let body = lines.get(length..).unwrap_or_default();
        let end = body.iter().position(|line| {
            let line = line.trim_end_matches(['\n', '\r']);
            (if tabs { line.trim_start_matches('\t') } else { line }) == name
        });
        match end {
            Some(end) => length += end + 1,
            None => return length,
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn injected(text: &str) -> String {
        inject(text, ["A", "B"].into_iter(), "k=v")
    }

    #[test]
    fn every_stage_gets_the_arguments_and_the_label() {
        assert_eq!(
            injected("# syntax=x\nFROM a AS b\nRUN x\n\n  from c\nCOPY --from=b / /\n"),
            "# syntax=x\nFROM a AS b\nARG A\nARG B\nLABEL k=v\nRUN x\n\n  from c\nARG A\nARG B\nLABEL k=v\nCOPY --from=b / /\n"
        );
        assert_eq!(injected("FROM scratch"), "FROM scratch\nARG A\nARG B\nLABEL k=v\n");
    }

    #[test]
    fn a_continued_from_is_not_torn_apart() {
        assert_eq!(
            injected("FROM \\\n# why\n\n a\nRUN x"),
            "FROM \\\n# why\n\n a\nARG A\nARG B\nLABEL k=v\nRUN x"
        );
        assert_eq!(
            injected("# escape=`\nFROM `\n a\nRUN x"),
            "# escape=`\nFROM `\n a\nARG A\nARG B\nLABEL k=v\nRUN x"
        );
    }

    #[test]
    fn the_word_from_inside_another_instruction_adds_nothing() {
        for text in [
            "RUN echo \\\nFROM x\n",
            "# FROM x\n",
            "RUN <<EOF\nFROM x\nEOF\n",
            "COPY <<-\"A\" <<B /d/\nFROM x\n\tA\nFROM y\nB\n",
            "FROMAGE x\n",
        ] {
            assert_eq!(injected(text), text);
        }
        assert_eq!(injected("RUN cat <<EOF\nFROM x\n"), "RUN cat <<EOF\nFROM x\nARG A\nARG B\nLABEL k=v\n");
    }

    #[test]
    fn names_are_reduced_and_a_missing_dockerfile_is_explained() {
        assert_eq!(argument_name("a-b.C_1").as_deref(), Some("abC_1"));
        assert_eq!(argument_name("--"), None);
        let error = require(None, &["app.js".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("app.js") && error.contains("Add a file named Dockerfile"), "{error}");
        let error = require(None, &["dockerfile".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("Rename \"dockerfile\""), "{error}");
        assert!(require(Some(b" \n"), &[]).is_err());
        assert!(require(Some(b"\xff"), &[]).is_err());
    }

    proptest! {
        #[test]
        fn only_arguments_and_labels_are_added(
            lines in proptest::collection::vec("(FROM a|from b AS c|RUN x ?\\\\?|# c|RUN <<E|E|  |COPY . .|FROM \\\\|\\PC{0,12})", 0..25),
        ) {
            let text = lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
            let out = inject(&text, ["ZZZ"].into_iter(), "k=v");
            let without: String = out.split_inclusive('\n').filter(|line| !["ARG ZZZ\n", "LABEL k=v\n"].contains(line)).collect();
            prop_assert_eq!(without, text);
        }
    }
}
