//! The workspace as cargo describes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Failure;

/// The root folder of the workspace.
pub fn root() -> PathBuf {
    // Cargo sets it for what it runs; what it was when this was compiled may be another checkout.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = PathBuf::from(here);
    here.ancestors().nth(2).unwrap_or(&here).to_path_buf()
}

/// A command of the cargo that runs this, in the root folder.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command and fails with its name where it fails.
///
/// # Errors
/// The command cannot be run, or ends with another code than 0.
pub fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}").into()) }
}

/// A package of the workspace.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The folder of its manifest.
    pub folder: PathBuf,
    /// What `cargo metadata` says of it.
    pub metadata: Value,
}

impl Package {
    /// Whether it may be published.
    pub fn is_published(&self) -> bool {
        // Cargo writes `publish = false` as an empty list of registries.
        self.metadata["publish"].as_array().is_none_or(|registries| !registries.is_empty())
    }

    /// The name under which code uses its library.
    pub fn library(&self) -> String {
        self.name.replace('-', "_")
    }

    /// Its optional features, `default` apart.
    pub fn features(&self) -> Vec<String> {
        let features = self.metadata["features"].as_object();
        features
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .filter(|name| name != "default")
            .collect()
    }
}

/// All packages of the workspace, by name.
///
/// # Errors
/// `cargo metadata` fails.
pub fn packages() -> Result<Vec<Package>, Failure> {
    let output = cargo().args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().ok_or("a package without a name")?.to_owned();
        let manifest = package["manifest_path"].as_str().ok_or("a package without a manifest")?;
        let folder = Path::new(manifest).parent().ok_or("a manifest without a folder")?.to_path_buf();
        packages.push(Package { name, folder, metadata: package.clone() });
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

/// Every file below the root whose name ends with `ending`, build products and hidden folders apart.
///
/// # Errors
/// A folder cannot be read.
pub fn files(ending: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || matches!(&*name, "target" | "corpus" | "artifacts") {
                continue;
            }
            // Links are looked at where they lead to.
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && name.ends_with(ending) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
