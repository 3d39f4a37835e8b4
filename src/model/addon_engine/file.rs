//! The form of `[addon_service.engine]` and `[addon_service.plan.engine]` in the catalogue file.

use std::collections::BTreeMap;

use super::{
    BackupMethod, BackupSchedule, PlanEngine, RestoreMethod, RestoredFile, ServiceEngine, SetupStep, Template,
};
use crate::model::build::ImageReference;
use crate::model::rule::RuleError;
use crate::model::schedule::{Overlap, Schedule};

/// The engine refuses a container with less.
const LEAST_MEMORY_MIB: u32 = 6;
/// More backups of one addon are not kept.
const MOST_KEPT: u32 = 1000;

/// `[addon_service.engine]` of the catalogue.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::model) struct ServiceEngineFile {
    image: String,
    port: u16,
    volume: Option<String>,
    command: Option<Vec<String>>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    exec_env: BTreeMap<String, String>,
    health: Option<Vec<String>>,
    usage: Option<Vec<String>>,
    #[serde(default)]
    setup: Vec<SetupFile>,
    variables: BTreeMap<String, String>,
    backup: Option<BackupFile>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SetupFile {
    argv: Vec<String>,
    input: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupFile {
    prepare: Option<Vec<String>>,
    dump: Vec<String>,
    restore: Option<Vec<String>>,
    #[serde(default)]
    restore_file: Vec<RestoredFileFile>,
    check: Vec<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RestoredFileFile {
    path: String,
    content: Option<String>,
}

/// `[addon_service.plan.engine]` of the catalogue.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::model) struct PlanEngineFile {
    memory_mib: u32,
    volume_mib: Option<u32>,
    backup_schedule: Option<String>,
    drill_schedule: Option<String>,
    /// Of both schedules.
    #[serde(default = "utc")]
    time_zone: String,
    #[serde(default = "a_week_of_days")]
    backups_kept: u32,
}

fn utc() -> String {
    "UTC".to_owned()
}

const fn a_week_of_days() -> u32 {
    7
}

impl ServiceEngine {
    /// Checks what the catalogue says of the service of that name.
    pub(in crate::model) fn from_file(service: &str, file: ServiceEngineFile) -> Result<Self, RuleError> {
        let wrong = |what: &str| RuleError::new(format!("The engine of the addon service {service} {what}."));
        if file.port == 0 {
            return Err(wrong("needs a port from 1 to 65535"));
        }
        if file.volume.as_ref().is_some_and(|path| !path.starts_with('/')) {
            return Err(wrong("needs an absolute path as its volume"));
        }
        let engine = Self {
            image: ImageReference::parse(&file.image)?,
            port: file.port,
            volume: file.volume,
            command: file.command.as_deref().map(argv).transpose()?,
            env: map(&file.env)?,
            exec_env: map(&file.exec_env)?,
            health: file.health.as_deref().map(argv).transpose()?,
            usage: file.usage.as_deref().map(argv).transpose()?,
            setup: file.setup.iter().map(SetupStep::from_file).collect::<Result<_, _>>()?,
            variables: map(&file.variables)?,
            backup: file.backup.map(|backup| BackupMethod::from_file(service, backup)).transpose()?,
        };
        if engine.backup.is_some() && (engine.health.is_none() || engine.volume.is_none()) {
            return Err(wrong("has a backup, and so needs a health command and a volume"));
        }
        Ok(engine)
    }
}

impl SetupStep {
    fn from_file(file: &SetupFile) -> Result<Self, RuleError> {
        let input = file.input.as_deref().map(Template::parse).transpose()?;
        Ok(Self { argv: argv(&file.argv)?, input })
    }
}

impl BackupMethod {
    fn from_file(service: &str, file: BackupFile) -> Result<Self, RuleError> {
        let wrong = |what: &str| RuleError::new(format!("The backup of the addon service {service} {what}."));
        let restore = match (file.restore, file.restore_file) {
            (Some(program), files) if files.is_empty() => RestoreMethod::Program(argv(&program)?),
            (None, files) if files.iter().filter(|file| file.content.is_none()).count() == 1 => {
                let is_inside = |path: &str| {
                    !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
                };
                if files.iter().any(|file| !is_inside(&file.path)) {
                    return Err(wrong("names a file outside of its volume"));
                }
                let files = files.into_iter();
                RestoreMethod::Files(
                    files.map(|file| RestoredFile { path: file.path, content: file.content }).collect(),
                )
            }
            (Some(_) | None, _) => {
                return Err(wrong(
                    "needs either a restore command, or restore_file tables of which one has no content",
                ));
            }
        };
        Ok(Self {
            prepare: file.prepare.as_deref().map(argv).transpose()?,
            dump: argv(&file.dump)?,
            restore,
            check: argv(&file.check)?,
        })
    }
}

impl PlanEngine {
    /// Checks what the catalogue says of that plan.
    pub(in crate::model) fn from_file(plan: &str, file: &PlanEngineFile) -> Result<Self, RuleError> {
        if file.memory_mib < LEAST_MEMORY_MIB || !(1..=MOST_KEPT).contains(&file.backups_kept) {
            return Err(RuleError::new(format!(
                "The engine of the plan {plan} needs at least {LEAST_MEMORY_MIB} MiB of memory, and keeps 1 to {MOST_KEPT} backups."
            )));
        }
        let schedule = |text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| Schedule::parse(text, &file.time_zone, Overlap::Skip)).transpose()
        };
        let keep = file.backups_kept;
        Ok(Self {
            memory_mib: file.memory_mib,
            volume_mib: file.volume_mib,
            backups: schedule(&file.backup_schedule)?.map(|schedule| BackupSchedule { schedule, keep }),
            drills: schedule(&file.drill_schedule)?,
        })
    }
}

fn argv(words: &[String]) -> Result<Vec<Template>, RuleError> {
    if words.is_empty() {
        return Err(RuleError::new("A command of an addon service's engine is empty: name a program."));
    }
    words.iter().map(|word| Template::parse(word)).collect()
}

fn map(texts: &BTreeMap<String, String>) -> Result<BTreeMap<String, Template>, RuleError> {
    texts.iter().map(|(name, text)| Ok((name.clone(), Template::parse(text)?))).collect()
}
