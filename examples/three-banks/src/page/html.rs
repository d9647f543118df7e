//! The file itself: fixed markup, style and script, and the data as one block of JSON.
//!
//! Names of accounts come from outside. They stand nowhere but in the JSON, where nothing that could end the block is
//! left unescaped, and the script puts them on the page as text. The policy allows this very script and this very style
//! by their hashes and nothing else, neither other code nor any address.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const MARKUP: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
/// In this order: each may use what stands before it.
const SCRIPTS: [&str; 6] = [
    include_str!("assets/dom.js"),
    include_str!("assets/network.js"),
    include_str!("assets/movement.js"),
    include_str!("assets/ranks.js"),
    include_str!("assets/costs.js"),
    include_str!("assets/main.js"),
];

/// The whole file around data that is already JSON.
pub(super) fn page(json: &str) -> String {
    let (style, script) = (lines(STYLE), lines(&SCRIPTS.concat()));
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(&style)
    );
    let data = escape(json);
    let parts = [("policy", &policy), ("style", &style), ("data", &data), ("script", &script)];
    fill(&lines(MARKUP), &parts)
}

/// Puts values where the markup names them. Values are not searched for names.
fn fill(markup: &str, parts: &[(&str, &String)]) -> String {
    let mut text =
        String::with_capacity(markup.len() + parts.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = markup;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        text.extend(parts.iter().filter(|(part, _)| *part == name).map(|(_, value)| value.as_str()));
        rest = after;
    }
    text.push_str(rest);
    text
}

/// JSON in which nothing means anything to HTML or ends a line of a script. In JSON these characters stand within
/// strings only.
fn escape(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            other => text.push(other),
        }
    }
    text
}

/// With the line ends that a browser makes of any before it hashes.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_as_other_software_has_it() {
        // printf 'alert(1)' | openssl dgst -sha256 -binary | base64
        assert_eq!(hash("alert(1)"), "sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=");
    }

    #[test]
    fn data_cannot_leave_their_block() {
        let hostile = "</script><script>alert(1)</script><!-- & \u{2028} {{script}}";
        let json = serde_json::to_string(&[hostile]).unwrap();
        let page = page(&json);
        let (_, after) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
        let (data, _) = after.split_once("</script>").unwrap();
        assert!(!data.contains(['<', '>', '&', '\u{2028}']), "{data}");
        let read: [String; 1] = serde_json::from_str(data).unwrap();
        assert_eq!(read[0], hostile);
        assert_eq!(page.matches("alert(1)").count(), 1);
    }

    #[test]
    fn policy_names_what_is_in_the_file() {
        let page = page("{}");
        let between = |start: &str, end: &str| {
            let (_, after) = page.split_once(start).unwrap();
            after.split_once(end).unwrap().0.to_owned()
        };
        let policy = between("http-equiv=\"Content-Security-Policy\" content=\"", "\"");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(policy.contains(&hash(&between("<style>", "</style>"))), "{policy}");
        assert!(policy.contains(&hash(&between("<script>", "</script>"))), "{policy}");
        // The one address is a name that nobody fetches.
        let rest = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!rest.contains("{{") && !rest.contains("http://") && !rest.contains("https://"));
    }

    #[test]
    fn values_are_not_searched() {
        let (left, right) = ("{{b}}".to_owned(), "x".to_owned());
        assert_eq!(fill("<{{a}}{{b}}{{c}}>", &[("a", &left), ("b", &right)]), "<{{b}}x>");
    }
}
