//! Documents and what they point to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

use std::collections::HashSet;
use std::fs;

use subrosa_checks::{markdown, workspace};

/// Relative links lead to files of the repository, and their anchors to headings.
#[test]
fn links_lead_somewhere() {
    let root = workspace::root();
    let crates = root.join("crates");
    let mut broken = Vec::new();
    let mut seen = 0;
    for file in workspace::files(".md").unwrap() {
        let text = fs::read_to_string(&file).unwrap();
        for link in markdown::links(&text) {
            // Items of a crate are checked by rustdoc.
            let foreign = link.contains("://") || link.starts_with("mailto:");
            let item = link.contains("::") || link.contains('@') || link.starts_with("Self");
            if foreign || item {
                continue;
            }
            seen += 1;
            if file.parent().unwrap().parent() == Some(&crates) && !link.starts_with('#') {
                broken
                    .push(format!("{}: {link} is relative, and leads nowhere from docs.rs", file.display()));
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            let good = target.exists()
                && (anchor.is_empty()
                    || markdown::anchors(&fs::read_to_string(&target).unwrap()).iter().any(|a| a == anchor));
            if !good {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(seen > 40, "only {seen} links were found: does the check still see them?");
}

/// What documents name in code type exists in the code. Pages about other libraries name theirs.
#[test]
fn names_exist() {
    // Folders that are not looked into.
    let mut known: HashSet<String> = ["target", "corpus", "artifacts"].map(str::to_owned).into();
    for ending in [".rs", ".toml", ".sh", ".py", ".md"] {
        for file in workspace::files(ending).unwrap() {
            known.insert(file.file_stem().unwrap().to_string_lossy().into_owned());
            if ending != ".md" {
                let text = fs::read_to_string(&file).unwrap();
                known.extend(words(&text).map(str::to_owned));
            }
        }
    }
    known.extend(words(&fs::read_to_string(workspace::root().join(".ci/run")).unwrap()).map(str::to_owned));
    let mut unknown = Vec::new();
    for file in workspace::files(".md").unwrap() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("from-") || name == "CHANGELOG.md" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for span in markdown::code_spans(&text) {
            // `vartime_…` stands for all names that begin so.
            let begins = |word: &str| word.ends_with('_') && known.iter().any(|name| name.starts_with(word));
            // `compare ONE OTHER` has arguments, which the code writes in small letters.
            let argument = |word: &str| {
                word.chars().all(|c| c.is_ascii_uppercase()) && known.contains(&word.to_lowercase())
            };
            let exists = |word: &str| known.contains(word) || begins(word) || argument(word);
            let missing = words(&span).filter(|word| word.len() > 3 && !exists(word));
            unknown.extend(missing.map(|word| format!("{}: `{word}`", file.display())));
        }
    }
    unknown.sort();
    unknown.dedup();
    let allowed = fs::read_to_string(workspace::root().join(".ci/names-elsewhere.txt")).unwrap();
    unknown.retain(|entry| !allowed.lines().any(|word| entry.ends_with(&format!("`{word}`"))));
    let help = "no such name in the code; if it is somebody else's, add it to .ci/names-elsewhere.txt";
    assert!(unknown.is_empty(), "{help}\n{}", unknown.join("\n"));
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    // Mathematical names such as d₁ are no names of the code.
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.split(move |c| !word(c))
        .filter(|word| word.is_ascii() && word.starts_with(|c: char| c.is_ascii_alphabetic()))
}
