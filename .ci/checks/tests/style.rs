//! Style that rustfmt does not hold: the order of imports, and where a module's file lies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

use std::fs;
use std::path::Path;
use std::process::Command;

use subrosa_checks::workspace::{Package, packages, root};

/// The tracked files of Rust code, relative to the root.
fn sources() -> Vec<String> {
    let output = Command::new("git").args(["ls-files", "*.rs"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Lines at which an import stands in the wrong group, or lacks or has too many blank lines above it.
fn misplaced(text: &str, own: &[String]) -> Vec<usize> {
    let modules = text.lines().filter_map(|line| line.split_once("mod "));
    let modules = modules.map(|(_, name)| name.trim_end_matches([' ', '{', ';']));
    let own = own.iter().map(String::as_str).chain(["crate", "super", "self"]);
    let own: Vec<&str> = own.chain(modules).collect();
    let group = |path: &str| match path.split([':', ';', ' ', '{']).next().unwrap() {
        "std" | "core" | "alloc" => 0,
        // A path that begins with a type is that of an enum in scope.
        first if own.contains(&first) || first.starts_with(char::is_uppercase) => 2,
        _ => 1,
    };
    let (mut wrong, mut last, mut blank, mut open) = (Vec::new(), None, false, false);
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if open || line.starts_with("use ") {
            if let Some(path) = line.strip_prefix("use ") {
                let group = group(path);
                wrong.extend(last.filter(|last| group < *last || (group != *last) != blank).map(|_| number));
                (last, blank) = (Some(group), false);
            }
            open = !line.ends_with(';');
        } else if line.is_empty() {
            blank = true;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            last = None; // Anything but an attribute or a comment ends a list of imports.
        }
    }
    wrong
}

#[test]
fn imports_stand_in_three_groups() {
    let own: Vec<String> = packages().unwrap().iter().map(Package::library).collect();
    let places = |file: String| {
        let lines = misplaced(&fs::read_to_string(root().join(&file)).unwrap(), &own);
        lines.into_iter().map(move |line| format!("{file}:{line}"))
    };
    let wrong: Vec<String> = sources().into_iter().flat_map(places).collect();
    assert!(wrong.is_empty(), "not std, external, own with blank lines:\n{}", wrong.join("\n"));
}

#[test]
fn a_module_with_submodules_is_a_folder_with_mod_rs() {
    let files = sources();
    let inside = |folder: &Path| files.iter().filter(|file| Path::new(file).starts_with(folder)).count();
    let wrong = files.iter().map(Path::new).filter(|path| {
        // Beside tests and benches, Cargo would take a file for one of them.
        let alone = path.ends_with("mod.rs") && path.iter().any(|part| part == "src");
        inside(&path.with_extension("")) > 0 || alone && inside(path.parent().unwrap()) == 1
    });
    let wrong: Vec<String> = wrong.map(|path| format!("{}:1", path.display())).collect();
    assert!(wrong.is_empty(), "not a folder with mod.rs, or not one file:\n{}", wrong.join("\n"));
}

#[test]
fn a_wrong_order_is_found() {
    let found = |text: &str| misplaced(text, &["own".to_owned()]);
    assert!(
        found("use std::fs;\n\nuse a::{\n    B,\n};\nuse c::D;\n\nuse super::*;\nuse own::E;").is_empty()
    );
    assert_eq!(found("use a::B;\nuse std::fs;\nuse own::E;\nmod f;\nuse f::G;\n\nuse own::H;"), [2, 3, 7]);
}
