//! Release projects: pipelines as `/api/releases` names them (reading 28).

use super::Error;
use crate::model::names::PipelineName;
use crate::model::pipeline::Pipeline;
use crate::model::rule::shown;
use crate::store::{self, Connection};

/// The live pipeline of exactly that name; case matters here.
pub fn resolve(connection: &Connection, text: &str) -> Result<Pipeline, Error> {
    let name = PipelineName::parse(text).ok().filter(|name| name.as_str() == text);
    let found = name.map(|name| store::pipelines::find_by_name(connection, &name)).transpose()?;
    found.flatten().ok_or_else(|| {
        Error::NotFound(format!("Release project not found: there is no pipeline named \"{}\".", shown(text)))
    })
}
