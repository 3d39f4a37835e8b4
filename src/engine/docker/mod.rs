//! The Docker Engine: the only folder that names bollard.
