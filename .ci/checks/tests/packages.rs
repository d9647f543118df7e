//! What a package must have before it is published.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use subrosa_checks::workspace::{self, Package};

/// Slugs of crates.io that fit us.
const CATEGORIES: [&str; 7] = [
    "cryptography",
    "mathematics",
    "algorithms",
    "science",
    "network-programming",
    "finance",
    "data-structures",
];

fn published() -> Vec<Package> {
    let packages = workspace::packages().unwrap();
    let crates = workspace::root().join("crates");
    for package in &packages {
        let library = package.folder.starts_with(&crates);
        assert_eq!(
            package.is_published(),
            library,
            "{}: libraries are published, nothing else is",
            package.name
        );
    }
    packages.into_iter().filter(Package::is_published).collect()
}

#[test]
fn libraries_describe_themselves() {
    let libraries = published();
    assert_eq!(libraries.len(), fs::read_dir(workspace::root().join("crates")).unwrap().count());
    for package in libraries {
        let (name, metadata) = (&package.name, &package.metadata);
        for field in ["description", "license", "rust_version", "readme"] {
            assert!(metadata[field].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {field}");
        }
        assert_eq!(metadata["license"], "MIT OR Apache-2.0", "{name}");
        let words = |field: &str| -> Vec<String> {
            metadata[field].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let keywords = words("keywords");
        assert!((1..=5).contains(&keywords.len()), "{name} has {} keywords", keywords.len());
        let plain = |word: &String| {
            word.len() <= 20
                && word.starts_with(|c: char| c.is_ascii_alphanumeric())
                && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+'))
        };
        assert!(keywords.iter().all(plain), "{name}: {keywords:?}");
        let categories = words("categories");
        assert!((1..=5).contains(&categories.len()), "{name} has {} categories", categories.len());
        assert!(categories.iter().all(|c| CATEGORIES.contains(&c.as_str())), "{name}: {categories:?}");
        assert_eq!(metadata["metadata"]["docs"]["rs"]["all-features"], true, "{name}");
    }
}

/// Licences are the same files everywhere.
#[test]
fn shared_files_are_the_same() {
    let root = workspace::root();
    for package in published() {
        let same = |name: &str, original: &str| {
            let copy = fs::read(package.folder.join(name));
            assert_eq!(copy.ok(), fs::read(root.join(original)).ok(), "{}: {name}", package.name);
        };
        same("LICENSE-MIT", "LICENSE-MIT");
        same("LICENSE-APACHE", "LICENSE-APACHE");
        // The pages that its documentation names.
        for page in cited_pages(&package.folder) {
            same(&page, &page);
        }
    }
}

/// The pages under `docs` that comments of a package name.
fn cited_pages(folder: &Path) -> BTreeSet<String> {
    let mut pages = BTreeSet::new();
    for file in
        workspace::files(".rs").unwrap().into_iter().filter(|file| file.starts_with(folder.join("src")))
    {
        let text = fs::read_to_string(file).unwrap();
        for (start, _) in text.match_indices("docs/") {
            let name = text[start..]
                .split(|c: char| !c.is_ascii_alphanumeric() && !"/-.".contains(c))
                .next()
                .unwrap();
            if let Some(end) = name.find(".md") {
                pages.insert(name[..end + 3].to_owned());
            }
        }
    }
    pages
}

/// The README is the front page of the documentation, and says what a reader must know before using the crate.
#[test]
fn front_pages_are_complete() {
    let rust =
        workspace::packages().unwrap().first().unwrap().metadata["rust_version"].as_str().unwrap().to_owned();
    for package in published() {
        let name = &package.name;
        let library = fs::read_to_string(package.folder.join("src/lib.rs")).unwrap();
        assert!(library.starts_with("#![doc = include_str!(\"../README.md\")]"), "{name}");
        let readme = fs::read_to_string(package.folder.join("README.md")).unwrap().to_lowercase();
        for part in ["use it", "```rust", "security", "not audited", "features", &rust, "mit or apache-2.0"] {
            assert!(readme.contains(part), "{name}: the front page does not mention {part:?}");
        }
    }
}
