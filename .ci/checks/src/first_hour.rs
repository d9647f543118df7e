//! The programs of `docs/first-hour.md`, built and run as a stranger would: in folders outside the workspace.

use std::fs;
use std::path::Path;

use crate::workspace::{cargo, root};
use crate::{Failure, markdown};

/// Where the document says that the repository lies.
const CHECKOUT: &str = "../subrosa/";

/// A program of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// `Cargo.toml`.
    pub manifest: String,
    /// `src/main.rs`.
    pub main: String,
    /// What it prints, according to the document.
    pub prints: String,
}

/// The programs of a document: each a block of TOML, one of Rust and one of text.
///
/// # Errors
/// Blocks in another order.
pub fn programs(document: &str) -> Result<Vec<Program>, Failure> {
    let blocks = markdown::blocks(document);
    let program = |blocks: &[(String, String)]| match blocks {
        [(toml, manifest), (rust, main), (text, prints)]
            if toml == "toml" && rust == "rust" && text == "text" =>
        {
            Ok(Program { manifest: manifest.clone(), main: main.clone(), prints: prints.clone() })
        }
        _ => Err("blocks of code must come as toml, rust, text".into()),
    };
    blocks.chunks(3).map(program).collect()
}

/// Builds and runs the programs, with the versions of dependencies that the workspace was tested with, and without the network.
///
/// # Errors
/// One does not compile, fails, or prints something else than the document says.
pub fn check() -> Result<(), Failure> {
    let root = root();
    let programs = programs(&fs::read_to_string(root.join("docs/first-hour.md"))?)?;
    if programs.len() != 2 {
        return Err(format!("{} programs instead of two", programs.len()).into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let target = target.join("first-hour");
    for (number, program) in programs.iter().enumerate() {
        let folder = std::env::temp_dir().join(format!("subrosa-first-hour-{}-{number}", std::process::id()));
        let printed = build_and_run(program, &folder, &target);
        fs::remove_dir_all(&folder)?;
        let printed = printed?;
        if !alike(&printed, &program.prints) {
            return Err(format!("printed\n{printed}instead of\n{}", program.prints).into());
        }
        print!("{printed}");
    }
    Ok(())
}

fn build_and_run(program: &Program, folder: &Path, target: &Path) -> Result<String, Failure> {
    let root = root();
    let checkout = format!("{}/", root.display());
    if !program.manifest.contains(CHECKOUT) {
        return Err(format!("the manifest does not depend on {CHECKOUT}").into());
    }
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), program.manifest.replace(CHECKOUT, &checkout))?;
    fs::write(folder.join("src/main.rs"), &program.main)?;
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let output = cargo()
        .current_dir(folder)
        .args(["run", "--quiet", "--offline"])
        .env("CARGO_TARGET_DIR", target)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether two texts have the same words, and numbers that differ by at most a millionth and the last digit.
fn alike(a: &str, b: &str) -> bool {
    let words = |text: &str| {
        text.split(|c: char| c.is_whitespace() || "[]:,".contains(c)).map(str::to_owned).collect()
    };
    let (a, b): (Vec<String>, Vec<String>) = (words(a), words(b));
    let same = |(a, b): (&String, &String)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() < 1.1e-6,
        _ => a == b,
    };
    a.len() == b.len() && a.iter().zip(&b).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_two_programs_of_some_forty_lines() {
        let document = fs::read_to_string(root().join("docs/first-hour.md")).unwrap();
        let programs = programs(&document).unwrap();
        assert_eq!(programs.len(), 2);
        assert!(programs.iter().all(|program| (30..=45).contains(&program.main.lines().count())));
    }

    #[test]
    fn numbers_may_differ_a_little() {
        assert!(alike("a: [0.2500001]\n", "a: [0.25]\n"));
        assert!(!alike("a: [0.25001]\n", "a: [0.25]\n"));
        assert!(!alike("b: [0.25]\n", "a: [0.25]\n"));
        assert!(!alike("a: [0.25]\na: [0.25]\n", "a: [0.25]\n"));
    }
}
