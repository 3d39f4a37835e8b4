//! The Procfile: which process types an app has, and their commands (reading 20).

use crate::model::RuleError;
use crate::model::command::Command;
use crate::model::names::ProcessType;
use crate::model::rule::shown;

/// Process types of one Procfile.
const TYPES_LIMIT: usize = 32;
/// Faults that one message names.
const FAULTS_SHOWN: usize = 5;

/// Reads `type: command` lines; empty lines and those that begin with `#` are left out.
///
/// Any other line is a fault: leaving it out would take a running process type away. The error names each
/// faulty line by its number.
pub fn parse(content: &[u8]) -> Result<Vec<(ProcessType, Command)>, RuleError> {
    let text = std::str::from_utf8(content)
        .map_err(|_| RuleError::new("The Procfile is not usable: it is not UTF-8 text."))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut types: Vec<(ProcessType, Command)> = Vec::new();
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            Ok((name, _)) if types.iter().any(|(earlier, _)| *earlier == name) => {
                faults.push(format!("line {}: the type {name} is there twice", index + 1));
            }
            Ok(pair) => types.push(pair),
            Err(error) => faults.push(format!("line {}: {error}", index + 1)),
        }
    }
    if types.len() > TYPES_LIMIT {
        faults.push(format!("it has {} types; at most {TYPES_LIMIT} are taken", types.len()));
    }
    if faults.is_empty() {
        return Ok(types);
    }
    let more = faults.len().saturating_sub(FAULTS_SHOWN);
    faults.truncate(FAULTS_SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Err(RuleError::new(format!("The Procfile is not usable: {}{more}", faults.join("; "))))
}

fn parse_line(line: &str) -> Result<(ProcessType, Command), RuleError> {
    let (name, command) = line
        .split_once(':')
        .ok_or_else(|| RuleError::new(format!("\"{}\" is not of the form type: command", shown(line))))?;
    let command = command.trim();
    if command.is_empty() {
        return Err(RuleError::new(format!("the type {} has no command", shown(name.trim()))));
    }
    Ok((ProcessType::parse(name.trim())?, Command::parse(command)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        let types = parse(text.as_bytes()).unwrap();
        types.into_iter().map(|(t, c)| (t.as_str().to_owned(), c.as_str().to_owned())).collect()
    }

    #[test]
    fn types_and_commands_are_read_and_comments_left_out() {
        let text = "\u{feff}web: node server.js --port $PORT\r\n\n# a comment\n  worker :  sh -c \"a: b\"\n";
        assert_eq!(
            parsed(text),
            [
                ("web".to_owned(), "node server.js --port $PORT".to_owned()),
                ("worker".to_owned(), "sh -c \"a: b\"".to_owned())
            ]
        );
        assert!(parsed("").is_empty());
    }

    #[test]
    fn every_faulty_line_is_named() {
        let error = parse(b"web: a\nnonsense\nweb: b\nworker:\n").unwrap_err().to_string();
        for part in ["line 2", "line 3: the type web is there twice", "line 4"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(parse(b"web: \xff").is_err());
        let many: Vec<String> = (0..33).map(|n| format!("t{n}: run")).collect();
        assert!(parse(many.join("\n").as_bytes()).unwrap_err().to_string().contains("at most 32"));
    }

    proptest! {
        #[test]
        fn no_content_makes_the_parser_panic(content in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(parse(&content));
        }

        #[test]
        fn what_is_written_is_read_back(commands in proptest::collection::vec("[a-z]{1,8}( [a-z$:]{1,8}){0,3}", 0..20)) {
            let lines: Vec<String> =
                commands.iter().enumerate().map(|(n, command)| format!("t{n}: {command}")).collect();
            let read: Vec<String> = parsed(&lines.join("\n")).into_iter().map(|(_, command)| command).collect();
            prop_assert_eq!(read, commands);
        }
    }
}
