#![doc = "akkerisd."]
pub mod model;
