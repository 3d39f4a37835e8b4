//! The rules of the house that the compiler does not check. Each rule is a function from sources to
//! complaints; one test shows that the repository obeys it, another that it can fail.

#![expect(clippy::string_slice, reason = "positions come from searches in the same text")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Rooms that every layer above `model` may use: they know nothing of apps.
const CROSS_CUTS: &[&str] = &[
    "model",
    "clock",
    "ids",
    "seal",
    "password",
    "chain",
    "tasks",
    "durable_file",
    "failpoint",
    "catalogue",
    "text_enum",
    "temporary_token",
];

/// What a room may import beside itself, and beside [`CROSS_CUTS`] where it is no cross-cut.
const LAYERS: &[(&str, &[&str])] = &[
    ("addons", &["store", "service", "config", "outbound", "engine"]),
    ("model", &["text_enum"]),
    ("clock", &["model"]),
    ("ids", &["model"]),
    ("seal", &["ids", "durable_file"]),
    ("password", &[]),
    ("chain", &["model"]),
    ("temporary_token", &["model", "durable_file"]),
    ("tasks", &[]),
    ("durable_file", &[]),
    ("failpoint", &["model"]),
    ("catalogue", &["model", "durable_file", "tasks"]),
    ("config", &["model", "text_enum"]),
    ("outbound", &[]),
    ("upgrade", &["config"]),
    ("engine", &[]),
    ("logs", &["store", "engine", "edge"]),
    ("store", &[]),
    ("edge", &[]),
    ("certs", &["edge", "store", "service", "config"]),
    ("service", &["store"]),
    ("previews", &["store", "service"]),
    ("reconcile", &["store", "service", "engine", "edge", "config", "outbound"]),
    ("metrics", &["store", "engine", "edge", "reconcile", "certs", "logs", "telemetry", "drains"]),
    ("builds", &["store", "service", "engine", "config", "outbound", "logs"]),
    ("telemetry", &["store", "outbound", "edge"]),
    ("hooks", &["store", "outbound", "telemetry"]),
    ("source_control", &["store", "service", "addons", "outbound"]),
    ("terminals", &["store", "service", "engine"]),
    (
        "api",
        &[
            "store",
            "service",
            "addons",
            "builds",
            "config",
            "git",
            "logs",
            "metrics",
            "source_control",
            "telemetry",
            "terminals",
        ],
    ),
    ("git", &["store", "service", "builds", "config", "logs"]),
    ("drains", &["store", "logs", "outbound"]),
    ("setups", &["store", "service", "addons", "builds", "outbound"]),
];

/// Rooms at the top, which may import all others: the composition root and the command line.
const ROOTS: &[&str] = &["daemon", "cli", "main", "lib"];

/// A crate and the only folder that may name it.
const OWNERS: &[(&str, &str)] = &[
    ("rusqlite", "src/store/"),
    ("bollard", "src/engine/docker/"),
    ("axum", "src/api/"),
    ("utoipa", "src/api/"),
    ("utoipa_axum", "src/api/"),
    ("reqwest", "src/outbound"),
    ("clap", "src/cli/"),
    ("instant_acme", "src/certs/acme/"),
    ("listenfd", "src/config/"),
];

const FORBIDDEN_NAMES: &[&str] = &["utils", "util", "helpers", "common", "misc", "types", "constants"];

/// Everything that shows at the top; dot-files may stand beside.
const TOP_LEVEL: &[&str] =
    &["Cargo.toml", "Cargo.lock", "src", "assets", "systemd", "tests", "examples", "README.md", "target"];

/// Where `tests/` may sleep: in the waits with a bound, in the program whose slowness suite 2 tests, and between
/// the requests of a fixed rate.
const SLEEPERS: &[&str] = &[
    "tests/support/wait.rs",
    "tests/e2e/support/mod.rs",
    "tests/e2e/dyno.rs",
    "tests/bench/api/schedule.rs",
];

/// A file this long holds more than one idea.
const LONGEST_FILE: usize = 400;

struct Source {
    /// Relative to the repository.
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The first part of the path under `src/`, without `.rs`.
    fn room(&self) -> &str {
        let inside = self.path.trim_start_matches("src/");
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// The code without comments.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| !line.trim_start().starts_with("//"))
    }

    /// The code without comments and without the tests at its end.
    fn product_code(&self) -> String {
        let lines: Vec<&str> = self.code().take_while(|line| line.trim() != "#[cfg(test)]").collect();
        lines.join("\n")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str, extension: &str) -> Vec<Source> {
    let found = files(folder, extension);
    assert!(!found.is_empty(), "there is no .{extension} file in {folder}");
    found
}

fn files(folder: &str, extension: &str) -> Vec<Source> {
    let mut folders = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(read(&path));
            }
        }
    }
    found
}

fn read(path: &Path) -> Source {
    let relative: PathBuf = path.strip_prefix(root()).unwrap().to_owned();
    Source::new(relative.to_str().unwrap(), &std::fs::read_to_string(path).unwrap())
}

/// The rooms that a file's code names with `crate::`, also in a group (`use crate::{a, b::C}`).
fn imports(source: &Source) -> BTreeSet<String> {
    let code = source.product_code();
    let mut rooms = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let named_by_macro = code[..start].ends_with('$');
        let rest = &code[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(group_members(group)),
            None if named_by_macro => {}
            None => rooms.extend(first_word(rest)),
        }
    }
    rooms
}

fn group_members(group: &str) -> Vec<String> {
    let mut depth = 0_i32;
    let mut members = vec![String::new()];
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(String::new()),
            _ => {}
        }
        members.last_mut().unwrap().push(letter);
    }
    members.iter().filter_map(|member| first_word(member.trim_start_matches([',', ' ', '\n']))).collect()
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

fn names_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(start, _)| !line[..start].ends_with(part) && !line[start + word.len()..].starts_with(part))
}

fn wrong_imports(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !ROOTS.contains(&source.room())) {
        let room = source.room();
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == room) else {
            complaints.push(format!("{}: the room {room} is not in LAYERS", source.path));
            continue;
        };
        for import in imports(source) {
            let cross_cut = CROSS_CUTS.contains(&import.as_str()) && !CROSS_CUTS.contains(&room);
            if import != room && !cross_cut && !allowed.contains(&import.as_str()) {
                complaints.push(format!("{}: {room} may not import {import}", source.path));
            }
        }
    }
    complaints
}

fn wrong_owners(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, owner) in OWNERS {
        for source in sources.iter().filter(|source| !source.path.starts_with(owner)) {
            if source.code().any(|line| names_word(line, name)) {
                complaints.push(format!("{}: only {owner} may name {name}", source.path));
            }
        }
    }
    complaints
}

fn forbidden_names(sources: &[Source]) -> Vec<String> {
    let forbidden = |source: &&Source| {
        source.path.split('/').any(|part| FORBIDDEN_NAMES.contains(&part.trim_end_matches(".rs")))
    };
    sources.iter().filter(forbidden).map(|s| format!("{}: name the noun it is about", s.path)).collect()
}

fn sleeping_tests(sources: &[Source]) -> Vec<String> {
    let word = concat!("sl", "eep(");
    let sleeps = |source: &&Source| {
        let told = SLEEPERS.contains(&source.path.as_str());
        !told && source.code().any(|line| line.contains(word))
    };
    sources.iter().filter(sleeps).map(|s| format!("{}: wait_until instead of {word}…)", s.path)).collect()
}

fn weakened_tests(sources: &[Source]) -> Vec<String> {
    let marks = [concat!("#[ign", "ore"), concat!("#[should", "_panic")];
    let weak = |source: &&Source| source.code().any(|line| marks.iter().any(|mark| line.contains(mark)));
    sources.iter().filter(weak).map(|s| format!("{}: a test is ignored or must panic", s.path)).collect()
}

/// The document knows schemas by their names: of two with one name it would show one for both.
fn shared_schema_names(sources: &[Source]) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for source in sources {
        let mut is_schema = false;
        for line in source.text.lines() {
            is_schema |= line.starts_with("#[derive(") && line.contains("ToSchema");
            let Some((_, rest)) = line.split_once("struct ").or_else(|| line.split_once("enum ")) else {
                continue;
            };
            if std::mem::take(&mut is_schema) {
                let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                places.entry(name.to_owned()).or_default().push(&source.path);
            }
        }
    }
    let shared = places.into_iter().filter(|(_, places)| places.len() > 1);
    shared
        .map(|(name, places)| format!("the schema {name} is in {places:?}; the document shows one of them"))
        .collect()
}

fn undocumented_modules(sources: &[Source]) -> Vec<String> {
    let documented = |source: &&Source| {
        let first = source.text.lines().find(|line| !line.is_empty()).unwrap_or("");
        first.starts_with("//!")
            || first.starts_with("#![doc = include_str!")
            || source.path.ends_with("/tests.rs")
    };
    sources
        .iter()
        .filter(|source| !documented(source))
        .map(|source| format!("{}: say in a first line //! what room this is", source.path))
        .collect()
}

fn long_files(sources: &[Source]) -> Vec<String> {
    let length = |source: &Source| source.product_code().lines().count();
    let long = sources.iter().filter(|source| length(source) > LONGEST_FILE);
    long.map(|source| format!("{}: {} lines of code hold more than one idea", source.path, length(source)))
        .collect()
}

fn strangers_at_the_top(names: &[String]) -> Vec<String> {
    let strange = |name: &&String| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str());
    names.iter().filter(strange).map(|name| format!("{name} does not belong at the top level")).collect()
}

/// Paths in backticks that start with a folder of ours must exist.
fn dead_references(documents: &[Source]) -> Vec<String> {
    let folders = ["src/", "tests/", "examples/", "systemd/", "assets/", ".ci/", ".config/", ".github/"];
    let mut complaints = Vec::new();
    for document in documents {
        for quoted in document.text.split('`').skip(1).step_by(2) {
            let path = quoted.split([' ', '\n']).next().unwrap_or("");
            let ours =
                folders.iter().any(|folder| path.starts_with(folder)) && !path.contains(['*', '<', '{', '…']);
            if ours && !root().join(path).exists() {
                complaints.push(format!("{}: `{path}` does not exist", document.path));
            }
        }
    }
    complaints
}

fn obeyed(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn imports_point_one_way() {
    obeyed(&wrong_imports(&sources("src", "rs")));
}

#[test]
fn each_foreign_crate_is_named_by_its_room_only() {
    obeyed(&wrong_owners(&sources("src", "rs")));
}

#[test]
fn no_file_is_a_place_for_odds_and_ends() {
    obeyed(&forbidden_names(&sources("src", "rs")));
    obeyed(&forbidden_names(&sources("tests", "rs")));
}

#[test]
fn tests_wait_for_conditions_and_sleep_nowhere() {
    obeyed(&sleeping_tests(&sources("tests", "rs")));
}

#[test]
fn no_test_is_ignored() {
    obeyed(&weakened_tests(&sources("tests", "rs")));
    obeyed(&weakened_tests(&sources("src", "rs")));
}

#[test]
fn every_module_says_what_it_is() {
    obeyed(&undocumented_modules(&sources("src", "rs")));
}

#[test]
fn every_schema_has_a_name_of_its_own() {
    obeyed(&shared_schema_names(&sources("src/api", "rs")));
}

#[test]
fn files_hold_one_idea() {
    obeyed(&long_files(&sources("src", "rs")));
}

#[test]
fn main_only_starts_the_command_line() {
    assert!(read(&root().join("src/main.rs")).text.lines().count() <= 40);
}

#[test]
fn the_top_level_holds_only_what_is_fixed() {
    let entries = std::fs::read_dir(root()).unwrap();
    let names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    obeyed(&strangers_at_the_top(&names));
}

#[test]
fn documents_name_files_that_exist() {
    let mut documents = files(".github", "md");
    documents.extend(files("src", "md"));
    documents.push(read(&root().join("README.md")));
    obeyed(&dead_references(&documents));
}

#[test]
fn each_rule_can_fail() {
    let bad = |path: &str, text: &str| [Source::new(path, text)];
    let import = "use crate::{model::app::{App, AppName}, api::View};";
    assert_eq!(
        wrong_imports(&bad("src/store/apps.rs", import)),
        ["src/store/apps.rs: store may not import api"]
    );
    assert_eq!(wrong_imports(&bad("src/model/app.rs", "fn f() { crate::clock::now() }")).len(), 1);
    assert_eq!(wrong_imports(&bad("src/attic.rs", "")), ["src/attic.rs: the room attic is not in LAYERS"]);
    assert_eq!(wrong_owners(&bad("src/service/apps.rs", "use rusqlite::Connection;")).len(), 1);
    assert_eq!(forbidden_names(&bad("src/api/utils.rs", "")).len(), 1);
    assert_eq!(forbidden_names(&bad("src/common/a.rs", "")).len(), 1);
    assert_eq!(sleeping_tests(&bad("tests/apps.rs", concat!("thread::sl", "eep(d);"))).len(), 1);
    assert_eq!(weakened_tests(&bad("tests/apps.rs", concat!("    #[ign", "ore]"))).len(), 1);
    assert_eq!(undocumented_modules(&bad("src/edge/tls.rs", "use std::fs;")).len(), 1);
    assert_eq!(long_files(&bad("src/edge/tls.rs", &"let a = 1;\n".repeat(401))).len(), 1);
    assert_eq!(strangers_at_the_top(&["docs".to_owned(), ".ci".to_owned()]).len(), 1);
    assert_eq!(dead_references(&bad("README.md", "see `src/nothing.rs`")).len(), 1);
}

#[test]
fn the_rules_do_not_complain_about_what_is_right() {
    let good = |path: &str, text: &str| [Source::new(path, text)];
    assert!(
        wrong_imports(&good("src/store/apps.rs", "use crate::model::app::App;\n// crate::api")).is_empty()
    );
    assert!(wrong_imports(&good("src/store/a.rs", "#[cfg(test)]\nmod t { use crate::api::X; }")).is_empty());
    assert!(wrong_imports(&good("src/daemon.rs", "use crate::api::router;")).is_empty());
    assert!(wrong_owners(&good("src/edge/proxy.rs", "// like axum does\nlet taxumi = 1;")).is_empty());
}
