//! Sources of test apps, as the data URIs that a client sends.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::docker::base_image;

/// A source whose dyno obeys these orders (see `tests/e2e/dyno.rs`).
pub struct Source {
    files: Vec<(String, String)>,
}

impl Source {
    /// An app whose answers name this version.
    pub fn version(version: &str) -> Self {
        let dockerfile = format!("FROM {}\nCOPY behaviour /behaviour\nCMD [\"/dyno\"]\n", base_image());
        Self {
            files: vec![
                ("Dockerfile".to_owned(), dockerfile),
                ("behaviour".to_owned(), format!("version={version}\n")),
            ],
        }
    }

    /// Adds an order.
    pub fn order(mut self, name: &str, value: &str) -> Self {
        let behaviour = self.files.iter_mut().find(|(name, _)| name == "behaviour").unwrap();
        writeln!(behaviour.1, "{name}={value}").unwrap();
        self
    }

    /// Adds or replaces a file.
    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.files.retain(|(name, _)| name != path);
        self.files.push((path.to_owned(), content.to_owned()));
        self
    }

    /// As files in a folder.
    pub fn write_to(&self, folder: &std::path::Path) {
        for (name, content) in &self.files {
            std::fs::write(folder.join(name), content).unwrap();
        }
    }

    /// As a gzipped tar.
    pub fn tar_gz(&self) -> String {
        data_uri(&self.packed())
    }

    /// The bytes of a gzipped tar.
    pub fn packed(&self) -> Vec<u8> {
        let mut tar =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (name, content) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("app/{name}"), content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    /// As a zip.
    pub fn zip(&self) -> String {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in &self.files {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        data_uri(zip.finish().unwrap().get_ref())
    }
}

/// The form that clients send.
pub fn data_uri(bytes: &[u8]) -> String {
    format!("data:base64,{}", BASE64_STANDARD.encode(bytes))
}
