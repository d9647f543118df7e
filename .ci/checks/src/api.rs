//! Whose types appear in the public interface of each library.
//!
//! The compiler's own description of a library (rustdoc's JSON) is walked from the crate's root along everything that is public.
//! Every crate whose type or trait stands in a signature, a field, a bound or an implementation must be listed in
//! `.ci/public-api.txt`, and what is listed must occur: an update of such a crate is a breaking change of ours. Every public type
//! must be `Send` and `Sync`, or be listed as an exception.
//!
//! The format is unstable. A version of it that this module was not written for is an error and not a guess.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;

use serde_json::Value;

use crate::Failure;
use crate::workspace::{Package, cargo, packages, root, run};

/// Versions of the format that were tried.
const FORMATS: std::ops::RangeInclusive<u64> = 55..=57;

/// Crates that come with the compiler.
const STANDARD: [&str; 3] = ["core", "alloc", "std"];

/// What the list says of one library.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Crates whose types may appear.
    pub crates: BTreeSet<String>,
    /// Types that need be neither `Send` nor `Sync`.
    pub confined: BTreeSet<String>,
}

/// What was found in one library.
pub type Found = Listed;

/// Compares all published libraries with the list.
///
/// # Errors
/// A library cannot be documented, the format is unknown, or the two differ.
pub fn check() -> Result<(), Failure> {
    let listed = read_list(include_str!("../../public-api.txt"))?;
    let mut complaints = Vec::new();
    let mut names = BTreeSet::new();
    for package in packages()?.into_iter().filter(Package::is_published) {
        let found = examine(&document(&package)?, &package.library())?;
        let nothing = Listed::default();
        let expected = listed.get(&package.name).unwrap_or(&nothing);
        println!("{}: {}", package.name, found.crates.iter().cloned().collect::<Vec<_>>().join(" "));
        for name in found.crates.difference(&expected.crates) {
            complaints.push(format!("{}: types of {name} are public and not listed", package.name));
        }
        for name in expected.crates.difference(&found.crates) {
            complaints.push(format!("{}: {name} is listed and does not appear", package.name));
        }
        for name in found.confined.symmetric_difference(&expected.confined) {
            complaints.push(format!("{}: {name} differs from the list as to Send and Sync", package.name));
        }
        names.insert(package.name);
    }
    let unknown = listed.keys().filter(|name| !names.contains(*name));
    complaints.extend(unknown.map(|name| format!("{name} is listed and no library of this workspace")));
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n").into()) }
}

/// Lines of the form `library: crate crate … ; Confined Confined …`; `#` begins a comment.
///
/// # Errors
/// A line without a colon, or a library that is there twice.
pub fn read_list(text: &str) -> Result<BTreeMap<String, Listed>, Failure> {
    let mut list = BTreeMap::new();
    for line in
        text.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|line| !line.is_empty())
    {
        let (name, rest) = line.split_once(':').ok_or_else(|| format!("no colon in {line:?}"))?;
        let (crates, confined) = rest.split_once(';').unwrap_or((rest, ""));
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let listed = Listed { crates: words(crates), confined: words(confined) };
        if list.insert(name.to_owned(), listed).is_some() {
            return Err(format!("{name} is listed twice").into());
        }
    }
    Ok(list)
}

/// Lets rustdoc describe a library, with all features.
fn document(package: &Package) -> Result<Value, Failure> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    // Not the folder of the pages: the two would invalidate each other.
    let target = target.join("api");
    run(cargo()
        .args(["rustdoc", "--quiet", "--locked", "--lib", "--all-features", "-p", &package.name])
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTDOC", root().join(".ci/rustdoc-unstable"))
        .env_remove("RUSTDOCFLAGS"))?;
    let file = target.join("doc").join(format!("{}.json", package.library()));
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

/// Walks a library's description.
///
/// # Errors
/// A description of another format, or one that does not hold together.
pub fn examine(description: &Value, library: &str) -> Result<Found, Failure> {
    let format = description["format_version"].as_u64().ok_or("no version of the format")?;
    if !FORMATS.contains(&format) {
        return Err(format!(
            "rustdoc writes format {format}, this check knows {FORMATS:?}: compare the formats, try it, and widen the range"
        )
        .into());
    }
    let root = key(&description["root"]).ok_or("no root")?;
    let mut walk = Walk { description, seen: HashSet::new(), found: Found::default(), items: 0 };
    walk.item(&root)?;
    let name = description["index"][&root]["name"].as_str().unwrap_or_default();
    // The root, and at least a few items in it: a crate of re-exports has no more.
    if name != library || walk.items < 5 {
        return Err(
            format!("the description of {library} is one of {name:?} with {} items", walk.items).into()
        );
    }
    Ok(walk.found)
}

struct Walk<'a> {
    description: &'a Value,
    seen: HashSet<String>,
    found: Found,
    items: usize,
}

impl<'a> Walk<'a> {
    /// Visits a public item and what hangs on it.
    fn item(&mut self, id: &str) -> Result<(), Failure> {
        if !self.seen.insert(id.to_owned()) {
            return Ok(());
        }
        let description: &'a Value = self.description;
        // What is not there belongs to another crate and was counted where it was named.
        let Some(item) = description["index"].get(id) else { return Ok(()) };
        let (kind, inner) =
            item["inner"].as_object().and_then(|inner| inner.iter().next()).ok_or("an item of no kind")?;
        // Variants, and items of traits and of implementations of traits, are as visible as what holds them.
        if !matches!(item["visibility"].as_str(), Some("public" | "default")) {
            return Ok(());
        }
        self.items += 1;
        match kind.as_str() {
            "module" => self.all(&inner["items"]),
            "use" => {
                let target = key(&inner["id"]);
                target.map_or(Ok(()), |id| {
                    self.name(&id)?;
                    self.item(&id)
                })
            }
            "struct" | "enum" | "union" => {
                self.auto_traits(item, inner)?;
                self.signature(&inner["generics"])?;
                self.fields(inner)?;
                self.all(&inner["impls"])
            }
            "trait" => {
                self.signature(&inner["generics"])?;
                self.signature(&inner["bounds"])?;
                self.all(&inner["items"])
            }
            "impl" => {
                let blanket = !inner["blanket_impl"].is_null();
                if blanket || inner["is_synthetic"].as_bool() == Some(true) {
                    return Ok(());
                }
                self.signature(&inner["trait"])?;
                self.signature(&inner["for"])?;
                self.signature(&inner["generics"])?;
                self.all(&inner["items"])
            }
            "variant" => self.fields(&inner["kind"]),
            "function" | "struct_field" | "constant" | "static" | "type_alias" | "assoc_const"
            | "assoc_type" => self.signature(inner),
            "macro" | "proc_macro" | "primitive" | "extern_crate" | "extern_type" | "trait_alias" => Ok(()),
            other => Err(format!("items of the kind {other:?} are unknown").into()),
        }
    }

    fn all(&mut self, ids: &Value) -> Result<(), Failure> {
        ids.as_array().into_iter().flatten().filter_map(key).try_for_each(|id| self.item(&id))
    }

    /// The fields or variants somewhere below, whatever their form.
    fn fields(&mut self, value: &Value) -> Result<(), Failure> {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    match name.as_str() {
                        "fields" | "tuple" | "variants" => self.all(value)?,
                        "kind" | "plain" | "struct" => {}
                        _ => continue,
                    }
                    self.fields(value)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Names of types and traits anywhere in a signature.
    fn signature(&mut self, value: &Value) -> Result<(), Failure> {
        match value {
            Value::Array(values) => values.iter().try_for_each(|value| self.signature(value)),
            Value::Object(object) => {
                if let (Some(id), true) = (object.get("id").and_then(key), object.contains_key("path")) {
                    self.name(&id)?;
                }
                object.values().try_for_each(|value| self.signature(value))
            }
            _ => Ok(()),
        }
    }

    /// Notes the crate to which a type or trait belongs.
    fn name(&mut self, id: &str) -> Result<(), Failure> {
        let Some(owner) = self.description["paths"].get(id).and_then(|path| path["crate_id"].as_u64()) else {
            return Ok(());
        };
        if owner == 0 {
            return Ok(());
        }
        let name = self.description["external_crates"][owner.to_string()]["name"].as_str();
        let name = name.ok_or_else(|| format!("crate {owner} has no name"))?;
        if !STANDARD.contains(&name) {
            self.found.crates.insert(name.to_owned());
        }
        Ok(())
    }

    fn auto_traits(&mut self, item: &Value, inner: &Value) -> Result<(), Failure> {
        let index = &self.description["index"];
        let implements = |name: &str| {
            inner["impls"].as_array().into_iter().flatten().filter_map(key).any(|id| {
                let inner = &index[&id]["inner"]["impl"];
                inner["trait"]["path"].as_str().is_some_and(|path| path.rsplit("::").next() == Some(name))
                    && inner["is_negative"].as_bool() == Some(false)
            })
        };
        if !(implements("Send") && implements("Sync")) {
            let name = item["name"].as_str().ok_or("a type without a name")?;
            self.found.confined.insert(name.to_owned());
        }
        Ok(())
    }
}

/// An id, which is a number in some places and a string in others.
fn key(value: &Value) -> Option<String> {
    value.as_u64().map(|id| id.to_string()).or_else(|| value.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A library with a function that takes a foreign type, and a type that is not `Sync`, next to `more` private items.
    fn description(visibility: &str) -> Value {
        let foreign = json!({"resolved_path": {"path": "Secret", "id": 50, "args": null}});
        let function =
            json!({"function": {"sig": {"inputs": [["x", foreign]], "output": null}, "generics": {}}});
        let send = json!({"impl": {"is_synthetic": true, "is_negative": false, "trait": {"path": "Send", "id": 60}}});
        let not_sync =
            json!({"impl": {"is_synthetic": true, "is_negative": true, "trait": {"path": "Sync", "id": 61}}});
        let item = |name: &str, visibility: &str, inner: Value| json!({"name": name, "visibility": visibility, "inner": inner});
        let mut index = json!({
            "0": item("library", "public", json!({"module": {"items": (1..20).collect::<Vec<_>>()}})),
            "1": item("takes", visibility, function),
            "2": item("Cell", "public", json!({"struct": {"generics": {}, "kind": "unit", "impls": [30, 31]}})),
            "30": item("", "default", send),
            "31": item("", "default", not_sync),
        });
        for id in 3..20 {
            index[id.to_string()] = item("constant", "public", json!({"constant": {}}));
        }
        json!({
            "format_version": *FORMATS.end(),
            "root": 0,
            "index": index,
            "paths": {"50": {"crate_id": 7}, "60": {"crate_id": 1}, "61": {"crate_id": 1}},
            "external_crates": {"1": {"name": "core"}, "7": {"name": "inner"}},
        })
    }

    #[test]
    fn sees_foreign_types_and_confined_ones() {
        let found = examine(&description("public"), "library").unwrap();
        assert_eq!(read_list("library: inner ; Cell # why").unwrap()["library"], found);
        assert!(examine(&description("crate"), "library").unwrap().crates.is_empty());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let mut newer = description("public");
        newer["format_version"] = json!(FORMATS.end() + 1);
        assert!(examine(&newer, "library").is_err());
        assert!(examine(&description("public"), "another").is_err());
        let mut kind = description("public");
        kind["index"]["1"]["inner"] = json!({"novelty": {}});
        assert!(examine(&kind, "library").is_err());
        assert!(read_list("library inner").is_err());
    }
}
