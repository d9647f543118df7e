//! Each library compiles alone: without features, with each feature, with all of them.

use crate::Failure;
use crate::workspace::{cargo, packages, run};

/// Checks all published packages.
///
/// # Errors
/// The first one that does not compile.
pub fn check() -> Result<(), Failure> {
    for package in packages()?.into_iter().filter(|package| package.is_published()) {
        let features = package.features();
        let mut choices: Vec<Vec<String>> = vec![vec!["--no-default-features".into()]];
        if !features.is_empty() {
            let alone =
                |feature: &String| vec!["--no-default-features".into(), "--features".into(), feature.clone()];
            choices.extend(features.iter().map(alone));
            choices.push(vec!["--all-features".into()]);
        }
        for choice in choices {
            println!("{} {}", package.name, choice.join(" "));
            run(cargo().args(["check", "--quiet", "--locked", "--lib", "-p", &package.name]).args(choice))?;
        }
    }
    Ok(())
}
