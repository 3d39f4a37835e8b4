//! The command line of a process type, without a shell.

use super::rule::{RuleError, shown};

/// Longest command, in bytes.
const COMMAND_LIMIT: usize = 4096;

/// A command as a person wrote it, known to split into at least one word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Command(String);

impl Command {
    /// Checks length, control characters and quoting.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(RuleError::new("The command is empty; leave it out to run the image's own command."));
        }
        if text.len() > COMMAND_LIMIT {
            return Err(RuleError::new(format!(
                "The command has {} bytes; at most {COMMAND_LIMIT} are kept. Put a longer one into a script of the image.",
                text.len()
            )));
        }
        if text.contains('\0') {
            return Err(RuleError::new(
                "The command contains a NUL character, which no program argument can hold.",
            ));
        }
        split(text)?;
        Ok(Self(text.to_owned()))
    }

    /// Takes a command that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// As the person wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The words, with `$NAME` and `${NAME}` replaced where `lookup` knows the name; unknown ones stay.
    ///
    /// Words are split on white space with single- and double-quote grouping and backslash escapes
    /// (`behaviour.md` §5: no shell unless the user writes one).
    pub fn argv<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> Vec<String> {
        split(&self.0).unwrap_or_default().into_iter().map(|word| expand(&word, &lookup)).collect()
    }
}

fn split(text: &str) -> Result<Vec<String>, RuleError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(RuleError::new(format!(
            "The command \"{}\" has a quote that is opened and never closed.",
            shown(text)
        )));
    }
    words.extend(word);
    Ok(words)
}

fn expand<'a>(word: &str, lookup: &impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, tail)) => (name, tail),
            None => after.split_at(
                after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len()),
            ),
        };
        if let Some(value) = lookup(name) {
            out.push_str(value);
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(text: &str) -> Vec<String> {
        Command::parse(text).unwrap().argv(|name| (name == "PORT").then_some("9000"))
    }

    #[test]
    fn words_are_split_with_quotes_and_variables_filled_in() {
        assert_eq!(argv("npm start"), ["npm", "start"]);
        assert_eq!(argv("sh -c \"echo  hi; sleep 1\""), ["sh", "-c", "echo  hi; sleep 1"]);
        assert_eq!(argv("serve -p $PORT -b 0.0.0.0:${PORT}"), ["serve", "-p", "9000", "-b", "0.0.0.0:9000"]);
        assert_eq!(
            argv("sh -c 'for i in 1; do echo $i; done'"),
            ["sh", "-c", "for i in 1; do echo $i; done"]
        );
        assert_eq!(argv("a '' b"), ["a", "", "b"]);
        assert_eq!(argv("price $ 5$"), ["price", "$", "5$"]);
    }

    #[test]
    fn empty_and_unclosed_commands_are_refused() {
        assert!(Command::parse("  ").is_err());
        assert!(Command::parse("sh -c \"oops").is_err());
    }
}
