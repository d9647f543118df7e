//! Commands in documents: packages, targets and options that they name exist.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

use std::fs;
use std::path::Path;

use subrosa_checks::markdown;
use subrosa_checks::workspace::{self, Package};

#[test]
fn commands_name_what_exists() {
    let packages = workspace::packages().unwrap();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in workspace::files(".md").unwrap() {
        let text = fs::read_to_string(&file).unwrap();
        let blocks = markdown::blocks(&text)
            .into_iter()
            .filter(|(info, _)| ["console", "sh"].contains(&info.as_str()));
        let lines = blocks
            .flat_map(|(_, code)| code.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>());
        for line in lines.chain(markdown::code_spans(&text)) {
            let command = line.split(" #").next().unwrap();
            let words: Vec<&str> = command.split_whitespace().skip_while(|word| *word != "cargo").collect();
            if let [_, "run" | "test" | "bench" | "doc" | "clippy", rest @ ..] = words.as_slice() {
                seen += 1;
                wrong.extend(
                    problem(&packages, rest).map(|it| format!("{}: `{command}`: {it}", file.display())),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 30, "only {seen} commands were found: does the check still see them?");
}

/// What is wrong with the rest of a command of cargo.
fn problem(packages: &[Package], words: &[&str]) -> Option<String> {
    let own = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let (cargos, programs) = words.split_at(own);
    let after =
        |flag: &str| cargos.windows(2).filter(|pair| pair[0] == flag).map(|pair| pair[1]).collect::<Vec<_>>();
    let mut named = Vec::new();
    for name in after("-p") {
        match packages.iter().find(|package| package.name == name) {
            Some(package) => named.push(package),
            None => return Some(format!("no package {name}")),
        }
    }
    for (flag, kind) in [("--bin", "bin"), ("--test", "test"), ("--bench", "bench"), ("--example", "example")]
    {
        for name in after(flag) {
            if !named.is_empty() && !named.iter().any(|package| has_target(package, kind, name)) {
                return Some(format!("no {kind} {name}"));
            }
        }
    }
    // Of a library or a bench these are the harness's.
    let program =
        named.first().filter(|package| package.metadata["targets"].to_string().contains("\"bin\""))?;
    let mut options =
        programs.iter().filter_map(|word| word.strip_prefix("--")).filter(|word| !word.is_empty());
    let known = |option: &&str| {
        let name = option.split('=').next().unwrap();
        ["help", "version", "ignored", "nocapture"].contains(&name) || mentions(&program.folder, name)
    };
    options.find(|option| !known(option)).map(|option| format!("no option --{option}"))
}

fn has_target(package: &Package, kind: &str, name: &str) -> bool {
    let targets = package.metadata["targets"].as_array().unwrap();
    targets
        .iter()
        .any(|target| target["name"] == name && target["kind"].as_array().unwrap().iter().any(|k| k == kind))
}

/// Whether a package's sources have a field or a text of an option's name.
fn mentions(folder: &Path, option: &str) -> bool {
    let (field, text) = (option.replace('-', "_"), format!("\"{option}\""));
    let is_field = |source: &str| source.contains(&format!(" {field}:"));
    let sources = workspace::files(".rs").unwrap().into_iter().filter(|file| file.starts_with(folder));
    sources
        .map(|file| fs::read_to_string(file).unwrap())
        .any(|source| is_field(&source) || source.contains(&text))
}

#[test]
fn what_does_not_exist_is_found() {
    let packages = workspace::packages().unwrap();
    let wrong = |command: &str| problem(&packages, &command.split_whitespace().collect::<Vec<_>>());
    for good in [
        "--release -p card-fraud -- web --idle 5",
        "-p card-fraud --test browser -- --ignored",
        "--workspace",
    ] {
        assert_eq!(wrong(good), None, "{good}");
    }
    for bad in ["-p card-frauds", "-p card-fraud --test browsers", "-p card-fraud -- --no-such-option"] {
        assert!(wrong(bad).is_some(), "{bad}");
    }
}
