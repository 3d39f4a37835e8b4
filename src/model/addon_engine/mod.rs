//! How a built-in addon service runs on this host's engine: what the catalogue says in `[addon_service.engine]`
//! and `[addon_service.plan.engine]`.
//!
//! Invariant: a template that exists names only values that there are, so that filling it cannot fail.

mod file;

use std::collections::BTreeMap;

pub(super) use self::file::{PlanEngineFile, ServiceEngineFile};
use super::build::ImageReference;
use super::rule::{RuleError, shown};
use super::schedule::Schedule;

/// How each instance of a service is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEngine {
    pub image: ImageReference,
    /// Where it listens.
    pub port: u16,
    /// The folder that its volume is mounted at; without one it keeps nothing.
    pub volume: Option<String>,
    /// Arguments for the image's entry point; `None` for those of the image.
    pub command: Option<Vec<Template>>,
    pub env: BTreeMap<String, Template>,
    /// Environment of the programs that are run inside of it.
    pub exec_env: BTreeMap<String, Template>,
    /// Ends with 0 once it is ready; without one it is ready when it accepts connections.
    pub health: Option<Vec<Template>>,
    /// Says in its first word how many KiB the volume has, as `du -sk` does.
    pub usage: Option<Vec<Template>>,
    /// What is run once it is ready for the first time, in this order. It may be run again.
    pub setup: Vec<SetupStep>,
    /// What the apps get.
    pub variables: BTreeMap<String, Template>,
    pub backup: Option<BackupMethod>,
}

/// A program that makes users, databases and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupStep {
    pub argv: Vec<Template>,
    pub input: Option<Template>,
}

/// How the data of an instance is saved and brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupMethod {
    /// Runs before `dump`.
    pub prepare: Option<Vec<Template>>,
    /// Writes the backup to its output.
    pub dump: Vec<Template>,
    pub restore: RestoreMethod,
    /// Ends with 0 when the data can be read, and says in a few words what is there.
    pub check: Vec<Template>,
}

/// How a backup gets into an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreMethod {
    /// A program reads it from its input.
    Program(Vec<Template>),
    /// Files in a new volume, which the instance finds when it starts.
    Files(Vec<RestoredFile>),
}

/// A file of a new volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredFile {
    /// Relative to the volume.
    pub path: String,
    /// `None` for the backup itself.
    pub content: Option<String>,
}

/// What a plan of a built-in service allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanEngine {
    /// MiB at which an instance is ended for lack of memory.
    pub memory_mib: u32,
    /// MiB that the volume may have; it is watched, and not enforced.
    pub volume_mib: Option<u32>,
    /// When backups are made by themselves.
    pub backups: Option<BackupSchedule>,
    /// When the newest backup is restored into a throwaway instance and looked at.
    pub drills: Option<Schedule>,
}

/// When backups are made by themselves, and how many of them are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSchedule {
    pub schedule: Schedule,
    pub keep: u32,
}

/// A text with places such as `{user}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

/// What is filled into templates. Letters, digits, dots and dashes only, so that nothing needs to be quoted.
#[derive(Clone, PartialEq, Eq)]
pub struct Values {
    pub user: String,
    pub password: String,
    /// For the service's own administrator, which no app gets to know.
    pub admin_password: String,
    pub database: String,
    pub host: String,
    pub port: u16,
    pub memory_mib: u32,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Values").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The names of [`Values::get`].
const PLACES: [&str; 8] =
    ["user", "password", "admin_password", "database", "host", "port", "memory_mib", "data_mib"];

impl Values {
    fn get(&self, place: &str) -> Option<String> {
        Some(match place {
            "user" => self.user.clone(),
            "password" => self.password.clone(),
            "admin_password" => self.admin_password.clone(),
            "database" => self.database.clone(),
            "host" => self.host.clone(),
            "port" => self.port.to_string(),
            "memory_mib" => self.memory_mib.to_string(),
            // What data may take of the memory, beside the program itself.
            "data_mib" => (self.memory_mib / 4 * 3).to_string(),
            _ => return None,
        })
    }
}

impl Template {
    /// Reads a text in which `{name}` stands for a value. Braces around anything but a word are text.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        for (_, place) in places(text) {
            if !PLACES.contains(&place) {
                return Err(RuleError::new(format!(
                    "\"{}\" names {{{place}}}, which is not one of {}.",
                    shown(text),
                    PLACES.map(|place| format!("{{{place}}}")).join(", ")
                )));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The text with the values in their places.
    pub fn fill(&self, values: &Values) -> String {
        let (mut filled, mut from) = (String::with_capacity(self.0.len()), 0);
        for (at, place) in places(&self.0) {
            filled.push_str(self.0.get(from..at).unwrap_or_default());
            filled.push_str(&values.get(place).unwrap_or_default());
            from = at + place.len() + 2;
        }
        filled.push_str(self.0.get(from..).unwrap_or_default());
        filled
    }
}

/// Fills each template of a command.
pub fn fill_all(templates: &[Template], values: &Values) -> Vec<String> {
    templates.iter().map(|template| template.fill(values)).collect()
}

/// Fills the values of an environment.
pub fn fill_map(templates: &BTreeMap<String, Template>, values: &Values) -> BTreeMap<String, String> {
    templates.iter().map(|(name, template)| (name.clone(), template.fill(values))).collect()
}

/// Where in a text a word stands in braces, and the word.
fn places(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices('{').filter_map(|(at, _)| {
        let inside = text.get(at + 1..)?;
        let place = inside.get(..inside.find('}')?)?;
        let is_word = !place.is_empty() && place.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        is_word.then_some((at, place))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> Values {
        Values {
            user: "u1".to_owned(),
            password: "p1".to_owned(),
            admin_password: "a1".to_owned(),
            database: "d1".to_owned(),
            host: "db.addons".to_owned(),
            port: 5432,
            memory_mib: 256,
        }
    }

    fn service(text: &str) -> Result<ServiceEngine, RuleError> {
        ServiceEngine::from_file("db", toml::from_str(text).unwrap())
    }

    #[test]
    fn a_template_is_filled_in_each_of_its_places() {
        let template = Template::parse("postgres://{user}:{password}@{host}:{port}/{database}").unwrap();
        assert_eq!(template.fill(&values()), "postgres://u1:p1@db.addons:5432/d1");
        assert_eq!(Template::parse("{data_mib}mb").unwrap().fill(&values()), "192mb");
        assert_eq!(Template::parse("{\"a\": {}}").unwrap().fill(&values()), "{\"a\": {}}");
    }

    #[test]
    fn a_template_with_a_place_that_is_not_known_is_refused_with_those_that_are() {
        let error = Template::parse("x {secret}").unwrap_err().to_string();
        assert!(error.contains("{secret}") && error.contains("{password}"), "{error}");
    }

    #[test]
    fn a_service_with_backups_needs_a_health_command_a_volume_and_one_way_to_restore() {
        let basis = "image = \"db:1\"\nport = 1\nvariables = {}\n";
        let ready = "volume = \"/data\"\nhealth = [\"ok\"]\n";
        let backup = "[backup]\ndump = [\"d\"]\ncheck = [\"c\"]\n";
        let program = "restore = [\"r\"]\n";
        assert!(service(&format!("{basis}{ready}{backup}{program}")).is_ok());
        assert!(service(&format!("{basis}{backup}{program}")).is_err());
        assert!(service(&format!("{basis}{ready}{backup}")).is_err());
        let file = |path: &str| format!("[[backup.restore_file]]\npath = \"{path}\"\n");
        let files = service(&format!("{basis}{ready}{backup}{}", file("a/b"))).unwrap();
        assert!(matches!(files.backup.unwrap().restore, RestoreMethod::Files(_)));
        assert!(service(&format!("{basis}{ready}{backup}{}", file("../b"))).is_err());
        assert!(service(&format!("{basis}{ready}{backup}{}{}", file("a"), file("b"))).is_err());
    }

    proptest! {
        #[test]
        fn a_template_that_was_read_is_filled_without_a_place_left(text in "[a-z{} _]{0,40}") {
            if let Ok(template) = Template::parse(&text) {
                let filled = template.fill(&values());
                prop_assert!(PLACES.iter().all(|place| !filled.contains(&format!("{{{place}}}"))), "{filled}");
            }
        }
    }
}
