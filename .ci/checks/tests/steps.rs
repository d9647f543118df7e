//! Steps of the protocols: what the documents number and what the code cites is the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use subrosa_checks::workspace;

#[test]
fn steps_are_those_that_the_code_cites() {
    let root = workspace::root();
    let mut defined = BTreeSet::new();
    for file in workspace::files(".md").unwrap() {
        if file.parent() == Some(&root.join("docs/protocols")) {
            let text = fs::read_to_string(&file).unwrap();
            defined.extend(text.split("**").skip(1).step_by(2).filter_map(first_step));
            // Laws stand in a table.
            defined.extend(text.lines().filter_map(|line| first_step(line.strip_prefix("| ")?)));
        }
    }
    let mut cited: BTreeMap<String, String> = BTreeMap::new();
    for file in workspace::files(".rs").unwrap() {
        if file.starts_with(root.join("crates")) {
            let text = fs::read_to_string(&file).unwrap();
            for comment in text.lines().filter_map(|line| line.split_once("//")) {
                let place = || file.display().to_string();
                cited.extend(steps(comment.1).into_iter().map(|step| (step, place())));
            }
        }
    }
    assert!(defined.len() > 60, "only {} steps were found: does the check still see them?", defined.len());
    let unknown: Vec<_> = cited.iter().filter(|(step, _)| !defined.contains(*step)).collect();
    assert!(unknown.is_empty(), "cited, but in no document: {unknown:?}");
    let unused: Vec<_> = defined.iter().filter(|step| !cited.contains_key(*step)).collect();
    assert!(unused.is_empty(), "in a document, but never cited: {unused:?}");
}

/// `K7, openings` begins with the step K7.
fn first_step(text: &str) -> Option<String> {
    step(text.split(|c: char| !c.is_ascii_alphanumeric()).next()?)
        .map(|(letter, number)| format!("{letter}{number}"))
}

/// The steps in a comment; `K1 to K4` are four.
fn steps(comment: &str) -> Vec<String> {
    // `V1_4` and `x^N2` are none.
    let part_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '^');
    let words: Vec<&str> = comment.split(|c| !part_of_word(c)).filter(|word| !word.is_empty()).collect();
    let mut found = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let Some((letter, number)) = step(word) else { continue };
        let last = match words.get(place + 1..place + 3) {
            Some(["to", last]) => step(last).filter(|(other, _)| *other == letter).map(|(_, last)| last),
            _ => None,
        };
        found.extend((number..=last.unwrap_or(number)).map(|number| format!("{letter}{number}")));
    }
    found
}

/// A capital letter and one or two digits.
fn step(word: &str) -> Option<(char, u8)> {
    let mut characters = word.chars();
    let letter = characters.next().filter(char::is_ascii_uppercase)?;
    let digits = characters.as_str();
    let short = (1..=2).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    short.then(|| digits.parse().ok()).flatten().map(|number| (letter, number))
}

#[test]
fn citations_are_understood() {
    assert_eq!(
        steps(" Steps K1 to K3, and R10; not V1_4, a^N2, SHA256, E123 or AVX2."),
        ["K1", "K2", "K3", "K3", "R10"]
    );
    assert_eq!(first_step("F3, new key"), Some("F3".into()));
    assert_eq!(first_step("R0a. Resumption"), None);
    assert_eq!(first_step("Cost"), None);
}
