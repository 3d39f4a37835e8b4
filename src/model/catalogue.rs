//! The catalogue: what an operator offers — region, stack, sizes, features, and what exists on first start.

use super::addon_service::{AddonService, AddonServiceFile};
use super::feature::{FeatureFile, OfferedFeature};
use super::ids::deterministic;
use super::names::{OrganizationName, SizeName, SpaceName};
use super::rule::RuleError;
use uuid::Uuid;

/// A validated catalogue (reading 21 and `behaviour.md` §5, §35).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    pub region: Region,
    pub stack: DefaultStack,
    /// Never empty; in the order of the file.
    pub sizes: Vec<Size>,
    /// The size of a formation that names none; one of `sizes`.
    pub default_size: SizeName,
    /// In the order of the file.
    pub features: Vec<OfferedFeature>,
    /// In the order of the file; those of brokers are not among them.
    pub addon_services: Vec<AddonService>,
    /// What the first start creates.
    pub first_spaces: Vec<FirstSpace>,
    /// What the first start creates.
    pub first_organizations: Vec<OrganizationName>,
}

/// The one region of this machine (`behaviour.md` §17).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    pub id: Uuid,
    pub name: String,
    pub description: String,
    pub country: String,
    /// Never empty: `aka` reads its first character.
    pub locale: String,
    /// Whose machine it is.
    pub provider: String,
}

/// The stack of a space that names none; it is made on the first start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultStack {
    pub id: Uuid,
    pub name: String,
}

/// A space that the first start creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstSpace {
    pub id: Uuid,
    pub name: SpaceName,
}

/// How much memory a dyno may use, and its price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    pub name: SizeName,
    pub description: String,
    /// MiB that are planned for the dyno.
    pub request_mib: u32,
    /// MiB at which the dyno is ended for lack of memory.
    pub limit_mib: u32,
    /// Whole dollars a month.
    pub price: u32,
    pub deprecated: bool,
}

/// The file's form.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    region: RegionFile,
    stack: PlaceFile,
    default_size: String,
    size: Vec<SizeFile>,
    #[serde(default)]
    feature: Vec<FeatureFile>,
    #[serde(default)]
    addon_service: Vec<AddonServiceFile>,
    #[serde(default)]
    space: Vec<PlaceFile>,
    #[serde(default)]
    organization: Vec<OrganizationFile>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionFile {
    name: String,
    id: Option<Uuid>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    country: String,
    locale: Option<String>,
    provider: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceFile {
    name: String,
    id: Option<Uuid>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct OrganizationFile {
    name: String,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SizeFile {
    name: String,
    #[serde(default)]
    description: String,
    request_mib: u32,
    limit_mib: u32,
    price: u32,
    #[serde(default)]
    deprecated: bool,
}

/// The engine refuses a container with less.
const SMALLEST_LIMIT_MIB: u32 = 6;

impl Catalogue {
    /// Reads and checks the text of a `catalogue.toml`; the error says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let file: CatalogueFile = toml::from_str(text).map_err(|error| RuleError::new(error.to_string()))?;
        let sizes = file.size.into_iter().map(Size::from_file).collect::<Result<Vec<_>, _>>()?;
        for (index, size) in sizes.iter().enumerate() {
            if sizes.iter().take(index).any(|earlier| earlier.name == size.name) {
                return Err(RuleError::new(format!("The size {} is there twice.", size.name)));
            }
        }
        let default_size = sizes
            .iter()
            .find(|size| size.name.as_str() == file.default_size)
            .map(|size| size.name.clone())
            .ok_or_else(|| {
                RuleError::new(format!("default_size names \"{}\", which is no [[size]].", file.default_size))
            })?;
        let first_spaces = file.space.iter().map(FirstSpace::from_file).collect::<Result<_, _>>()?;
        let first_organizations =
            file.organization.iter().map(|o| OrganizationName::parse(&o.name)).collect::<Result<_, _>>()?;
        Ok(Self {
            region: Region::from_file(file.region)?,
            stack: DefaultStack { id: file.stack.id(), name: file.stack.name },
            sizes,
            default_size,
            features: OfferedFeature::from_files(file.feature)?,
            addon_services: AddonService::from_files(file.addon_service)?,
            first_spaces,
            first_organizations,
        })
    }

    /// The size of that name.
    pub fn size(&self, name: &str) -> Option<&Size> {
        self.sizes.iter().find(|size| size.name.as_str().eq_ignore_ascii_case(name))
    }

    /// The memory of a dyno of that size, in bytes; a size that the operator took out has the default's.
    pub fn memory_limit(&self, name: &SizeName) -> u64 {
        let size = self.size(name.as_str()).or_else(|| self.size(self.default_size.as_str()));
        u64::from(size.map_or(512, |size| size.limit_mib)) * 1024 * 1024
    }
}

impl PlaceFile {
    fn id(&self) -> Uuid {
        self.id.unwrap_or_else(|| deterministic(&self.name))
    }
}

impl Region {
    fn from_file(file: RegionFile) -> Result<Self, RuleError> {
        let locale = file.locale.unwrap_or_else(|| file.name.clone());
        if file.name.is_empty() || locale.is_empty() {
            return Err(RuleError::new("The region needs a name, and its locale must not be empty."));
        }
        Ok(Self {
            id: file.id.unwrap_or_else(|| deterministic(&file.name)),
            name: file.name,
            description: file.description,
            country: file.country,
            locale,
            provider: file.provider.unwrap_or_else(|| "akkerisd".to_owned()),
        })
    }
}

impl FirstSpace {
    fn from_file(file: &PlaceFile) -> Result<Self, RuleError> {
        Ok(Self { id: file.id(), name: SpaceName::parse(&file.name)? })
    }
}

impl Size {
    fn from_file(file: SizeFile) -> Result<Self, RuleError> {
        let charset = file.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if file.name.is_empty() || file.name.len() > 32 || !charset {
            return Err(RuleError::new(format!(
                "The size name \"{}\" is not usable: use lower-case letters, digits and dashes.",
                file.name
            )));
        }
        if file.limit_mib < SMALLEST_LIMIT_MIB || file.request_mib > file.limit_mib {
            return Err(RuleError::new(format!(
                "The size {} asks for {} MiB with a limit of {} MiB: the limit must be at least {SMALLEST_LIMIT_MIB} and not below what is asked for.",
                file.name, file.request_mib, file.limit_mib
            )));
        }
        Ok(Self {
            name: SizeName::from_stored(file.name),
            description: file.description,
            request_mib: file.request_mib,
            limit_mib: file.limit_mib,
            price: file.price,
            deprecated: file.deprecated,
        })
    }
}
