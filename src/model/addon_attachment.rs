//! Attachments: which app uses which addon under which name. The app that an addon belongs to has one too.
//!
//! Invariant: of the attachments of an app to addons of one service, one is the primary.

use std::collections::BTreeMap;

use super::addon_service::AddonServiceName;
use super::config_var::{ConfigValue, ConfigVars};
use super::ids::{AddonAttachmentId, AddonId, AddonServiceId};
use super::names::ConfigVarName;
use super::pipeline::AppReference;
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// An app's use of an addon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonAttachment {
    pub id: AddonAttachmentId,
    pub addon: AddonId,
    pub service: AddonServiceId,
    /// The app that uses it.
    pub app: AppReference,
    pub name: AttachmentName,
    /// Begins the names of its variables when it is not the primary one.
    pub prefix: String,
    /// The addon belongs to the app.
    pub is_owned: bool,
    pub is_primary: bool,
    pub state: AttachmentState,
    /// Why it failed; else empty.
    pub reason: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

crate::text_enum! {
    /// Whether an app has the variables of an addon.
    pub enum AttachmentState {
        /// They are asked for.
        Binding => "binding",
        Bound => "bound",
        /// The provider does not give them.
        Failed => "failed",
    }
}

/// The name of an addon or attachment within an app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttachmentName(String);

/// A variable that an app has because of an addon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonVariable {
    pub value: ConfigValue,
    pub addon: AddonId,
    /// The attachment that brings it.
    pub attachment: AttachmentName,
}

/// What one attachment brings, under the names that the provider gave.
#[derive(Debug, Clone)]
pub struct Brought {
    pub attachment: AddonAttachment,
    pub variables: ConfigVars,
}

/// Longest name that a client may give (`behaviour.md` §18).
const GIVEN_LIMIT: usize = 22;
/// What generated names are made of.
const NOUNS: &[&str] = &[
    "bird", "breeze", "brook", "bush", "cloud", "dawn", "dew", "dream", "dust", "field", "fire", "flower",
    "fog", "forest", "frost", "glade", "grass", "haze", "hill", "lake", "leaf", "meadow", "moon", "morning",
    "mountain", "night", "paper", "pine", "pond", "rain", "river", "sea", "shadow", "shape", "silence",
    "sky", "smoke", "snow", "sound", "star", "sun", "surf", "thunder", "tree", "violet", "voice", "water",
    "wave", "wind", "wood",
];

impl AttachmentState {
    /// As clients know the states of addons.
    pub fn status(self) -> &'static str {
        match self {
            Self::Binding => "provisioning",
            Self::Bound => "provisioned",
            Self::Failed => "failed",
        }
    }
}

impl AttachmentName {
    /// A letter, then letters, digits, dashes and `_`, up to 22 characters; lower-cased.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let name = text.trim().to_ascii_lowercase();
        let charset = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let first = name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !charset || !first || !(2..=GIVEN_LIMIT).contains(&name.len()) {
            return Err(RuleError::new(format!(
                "The addon name \"{}\" is not usable: begin with a letter and go on with letters, digits, dashes and underscores, 2 to {GIVEN_LIMIT} characters in all.",
                shown(text)
            )));
        }
        Ok(Self(name))
    }

    /// `<service>-<noun>-<0..9999>`, from a number drawn by chance.
    pub fn generated(service: &AddonServiceName, drawn: u32) -> Self {
        let nouns = u32::try_from(NOUNS.len()).unwrap_or(1);
        let noun = NOUNS.get((drawn % nouns) as usize).copied().unwrap_or("fire");
        Self(format!("{service}-{noun}-{}", drawn / nouns % 10_000))
    }

    /// Whether it has the form of the names that are drawn for addons of this service, though somebody may have given it.
    pub fn is_drawn(&self, service: &AddonServiceName) -> bool {
        let rest =
            self.0.strip_prefix(service.as_str()).and_then(|rest| rest.strip_prefix('-')?.split_once('-'));
        rest.is_some_and(|(noun, number)| {
            NOUNS.contains(&noun) && number.parse::<u16>().is_ok_and(|number| number < 10_000)
        })
    }

    /// Takes a value that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name as stored and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What begins the names of variables of an attachment that is not the primary one: of a name with more than two
    /// parts all but the first two, of any other the whole (`behaviour.md` §18). It begins with a letter, as the name of
    /// an environment variable has to: where the rest would not, the whole name is taken.
    pub fn prefix(&self) -> String {
        let parts: Vec<&str> = self.0.split('-').collect();
        let rest = parts.get(2..).filter(|rest| !rest.is_empty()).map(|rest| rest.join("_"));
        let rest = rest.filter(|rest| rest.starts_with(|first: char| first.is_ascii_alphabetic()));
        let prefix = rest.unwrap_or_else(|| self.0.clone());
        prefix.to_ascii_uppercase().replace(['-', '.'], "_")
    }
}

impl std::fmt::Display for AttachmentName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The variables that an app has because of its addons: plain names for what the primary of a service brings, prefixed
/// ones for the others. Where two services bring one name, the older attachment has it plain.
pub fn variables(brought: &[Brought]) -> BTreeMap<ConfigVarName, AddonVariable> {
    let mut all = BTreeMap::new();
    let (primary, secondary): (Vec<&Brought>, Vec<&Brought>) =
        brought.iter().partition(|one| one.attachment.is_primary);
    for one in primary.into_iter().chain(secondary) {
        for (name, value) in &one.variables {
            let plain = one.attachment.is_primary && !all.contains_key(name);
            let name = if plain { name.clone() } else { prefixed(&one.attachment.prefix, name) };
            let variable = AddonVariable {
                value: value.clone(),
                addon: one.attachment.addon,
                attachment: one.attachment.name.clone(),
            };
            all.entry(name).or_insert(variable);
        }
    }
    all
}

fn prefixed(prefix: &str, name: &ConfigVarName) -> ConfigVarName {
    ConfigVarName::from_stored(format!("{prefix}_{name}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::model::ids::{AppId, OrganizationId};
    use crate::model::names::{AppName, SpaceName};

    fn name(text: &str) -> AttachmentName {
        AttachmentName::from_stored(text.to_owned())
    }

    fn brought(name: &str, is_primary: bool, variables: &[(&str, &str)]) -> Brought {
        let name = AttachmentName::from_stored(name.to_owned());
        Brought {
            attachment: AddonAttachment {
                id: AddonAttachmentId::new(Uuid::nil()),
                addon: AddonId::new(Uuid::nil()),
                service: AddonServiceId::new(Uuid::nil()),
                app: AppReference {
                    id: AppId::new(Uuid::nil()),
                    name: AppName::parse("a").unwrap(),
                    space: SpaceName::parse("s").unwrap(),
                    organization: OrganizationId::new(Uuid::nil()),
                },
                prefix: name.prefix(),
                name,
                is_owned: true,
                is_primary,
                state: AttachmentState::Bound,
                reason: String::new(),
                created_at: Timestamp::from_millis(0),
                updated_at: Timestamp::from_millis(0),
            },
            variables: variables
                .iter()
                .map(|(name, value)| {
                    (ConfigVarName::parse(name).unwrap(), ConfigValue::from_stored((*value).to_owned()))
                })
                .collect(),
        }
    }

    fn shown_of(brought: &[Brought]) -> Vec<(String, String)> {
        let pair =
            |(name, one): (ConfigVarName, AddonVariable)| (name.to_string(), one.value.reveal().to_owned());
        variables(brought).into_iter().map(pair).collect()
    }

    #[test]
    fn a_prefix_leaves_out_the_name_of_the_service() {
        assert_eq!(name("alamo-postgresql-noun-1234").prefix(), "NOUN_1234");
        assert_eq!(name("foobar").prefix(), "FOOBAR");
        assert_eq!(name("foo-bar").prefix(), "FOO_BAR");
        assert_eq!(name("securekey-fire-12").prefix(), "SECUREKEY_FIRE_12");
        assert_eq!(name("a-b-").prefix(), "A_B_");
    }

    #[test]
    fn given_names_are_bounded_and_generated_ones_tell_the_service() {
        assert_eq!(AttachmentName::parse(" My-DB_1 ").unwrap().as_str(), "my-db_1");
        for bad in ["", "a", "1a", "-a", "a b", "a.b", &"a".repeat(23)] {
            assert!(AttachmentName::parse(bad).is_err(), "{bad:?} was accepted");
        }
        let service = AddonServiceName::parse("alamo-redis").unwrap();
        assert_eq!(AttachmentName::generated(&service, 10).as_str(), "alamo-redis-fire-0");
        for given in ["alamo-redis", "alamo-redis-", "alamo-redis-fire", "redis-fire-1", "alamo-redis-my-1"] {
            assert!(!name(given).is_drawn(&service), "{given:?} is nobody's");
        }
    }

    #[test]
    fn the_primary_has_the_plain_names_and_the_others_prefixed_ones() {
        let all = [
            brought("alamo-postgresql-fire-1", false, &[("DATABASE_URL", "two")]),
            brought("foobar", true, &[("DATABASE_URL", "one")]),
        ];
        let expected = [("DATABASE_URL", "one"), ("FIRE_1_DATABASE_URL", "two")];
        assert_eq!(shown_of(&all), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn of_two_services_with_one_name_the_older_attachment_has_it_plain() {
        let all =
            [brought("aa", true, &[("URL", "old")]), brought("bb", true, &[("URL", "new"), ("X", "x")])];
        let expected = [("BB_URL", "new"), ("URL", "old"), ("X", "x")];
        assert_eq!(shown_of(&all), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    proptest! {
        #[test]
        fn a_prefix_can_begin_the_name_of_a_config_var(text in "[a-zA-Z][A-Za-z0-9_-]{1,21}") {
            let prefix = AttachmentName::parse(&text).unwrap().prefix();
            let name = format!("{prefix}_URL");
            prop_assert!(ConfigVarName::parse(&name).is_ok());
            prop_assert!(prefix.starts_with(|c: char| c.is_ascii_alphabetic()));
        }

        #[test]
        fn every_generated_name_has_a_prefix_of_its_own_number(drawn: u32) {
            let service = AddonServiceName::parse("alamo-redis").unwrap();
            let name = AttachmentName::generated(&service, drawn);
            prop_assert!(name.as_str().starts_with("alamo-redis-") && name.is_drawn(&service));
            prop_assert!(!name.prefix().contains("ALAMO"));
        }
    }
}
