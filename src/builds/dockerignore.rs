//! `.dockerignore`: which files of a source stay out of the build context.

/// The patterns of a file; the last one that matches a path, or a folder it lies in, decides.
#[derive(Debug, Default)]
pub struct Ignore(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    parts: Vec<String>,
    brings_back: bool,
}

impl Ignore {
    /// Reads the lines; comments and empty ones count for nothing.
    pub fn parse(text: &str) -> Self {
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        Self(lines.filter(|line| !line.starts_with('#')).filter_map(Pattern::parse).collect())
    }

    /// Whether a path of the context, `a/b/c`, stays out.
    pub fn leaves_out(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let last = self.0.iter().rev().find(|pattern| pattern.covers(&parts));
        last.is_some_and(|pattern| !pattern.brings_back)
    }
}

impl Pattern {
    fn parse(line: &str) -> Option<Self> {
        let (line, brings_back) = line.strip_prefix('!').map_or((line, false), |rest| (rest.trim(), true));
        let mut parts: Vec<String> = Vec::new();
        for part in line.split('/').filter(|part| !matches!(*part, "" | ".")) {
            if part == ".." {
                parts.pop();
            } else if part != "**" || parts.last().is_none_or(|last| last != "**") {
                parts.push(part.to_owned());
            }
        }
        (!parts.is_empty()).then_some(Self { parts, brings_back })
    }

    /// The path or any folder above it matches.
    fn covers(&self, path: &[&str]) -> bool {
        (1..=path.len()).any(|length| path.get(..length).is_some_and(|part| matches(&self.parts, part)))
    }
}

/// Compares part by part, remembering for each length of the pattern's start whether it fits the path's:
/// linear in both, whatever the pattern.
fn matches(pattern: &[String], path: &[&str]) -> bool {
    // `reach` holds the positions in the path that the pattern so far can end at.
    let mut reach = vec![false; path.len() + 1];
    if let Some(start) = reach.first_mut() {
        *start = true;
    }
    for part in pattern {
        let mut next = vec![false; path.len() + 1];
        let mut any = false;
        for (position, to) in next.iter_mut().enumerate() {
            let here = reach.get(position).copied().unwrap_or(false);
            any |= here;
            let before = position.checked_sub(1);
            let came = before.and_then(|before| reach.get(before)).copied().unwrap_or(false);
            let name = before.and_then(|before| path.get(before));
            *to = if part == "**" { any } else { came && name.is_some_and(|name| fits(part, name)) };
        }
        reach = next;
    }
    reach.last().copied().unwrap_or(false)
}

/// `*` is any run of characters, `?` any one. Character classes are taken literally.
fn fits(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut reach = vec![false; name.len() + 1];
    if let Some(start) = reach.first_mut() {
        *start = true;
    }
    for wanted in pattern.chars() {
        let mut any = false;
        let mut next = vec![false; name.len() + 1];
        for (position, to) in next.iter_mut().enumerate() {
            any |= reach.get(position).copied().unwrap_or(false);
            let before = position.checked_sub(1);
            let came = before.and_then(|before| reach.get(before)).copied().unwrap_or(false);
            let same =
                before.and_then(|before| name.get(before)).is_some_and(|c| wanted == '?' || *c == wanted);
            *to = if wanted == '*' { any } else { came && same };
        }
        reach = next;
    }
    reach.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let ignore = Ignore::parse("# x\nnode_modules\n*.log\n**/cache\n!cache/keep\n/dist/\ndocs/**/*.md\n");
        for out in
            ["node_modules/a/b", "a.log", "x/y/cache/z", "cache/other", "dist/a", "docs/a/b.md", "docs/b.md"]
        {
            assert!(ignore.leaves_out(out), "{out}");
        }
        for kept in ["src/node_modules", "logs/a.log", "cache/keep", "docs/a.txt", "Dockerfile"] {
            assert!(!ignore.leaves_out(kept), "{kept}");
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let ignore = Ignore::parse(&format!("{}b\n{}b", "*a".repeat(200), "**/*a/".repeat(200)));
        assert!(!ignore.leaves_out(&"a".repeat(255)));
        assert!(!ignore.leaves_out(&"a/".repeat(400)));
    }
}
