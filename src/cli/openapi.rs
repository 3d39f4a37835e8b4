//! `akkerisd openapi`: the document of the API that this binary serves.

use std::io::Write;

use super::failure::Failure;
use crate::api;

pub(super) fn run(output: &mut dyn Write) -> Result<(), Failure> {
    output.write_all(api::OPENAPI.as_bytes())?;
    Ok(())
}
