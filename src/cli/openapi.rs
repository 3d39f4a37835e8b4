//! `akkerisd openapi`: the document of the API that this binary serves.

use std::io::Write;

use super::failure::Failure;
use crate::api;

pub(super) fn run(output: &mut dyn Write) -> Result<(), Failure> {
    let document = api::openapi().to_pretty_json().map_err(|error| Failure::Bug(error.into()))?;
    writeln!(output, "{document}")?;
    Ok(())
}
