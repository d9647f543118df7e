//! Just as much Markdown as the checks need.

use std::collections::HashMap;

/// The lines of a document with whether each stands in a fenced block of code.
fn lines(text: &str) -> impl Iterator<Item = (bool, &str)> {
    let mut fenced = false;
    text.lines().map(move |line| {
        let fence = line.trim_start().starts_with("```");
        let inside = fenced || fence;
        fenced ^= fence;
        (inside, line)
    })
}

/// The text without blocks of code.
pub fn prose(text: &str) -> String {
    lines(text).filter(|(code, _)| !code).flat_map(|(_, line)| [line, "\n"]).collect()
}

/// Blocks of code: what stands behind the opening fence, and the code.
pub fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), open) {
            (Some(info), false) => {
                blocks.push((info.trim().to_owned(), String::new()));
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                if let Some((_, code)) = blocks.last_mut() {
                    code.push_str(line);
                    code.push('\n');
                }
            }
            (None, false) => {}
        }
    }
    blocks
}

/// The targets of links and images in the prose.
pub fn links(text: &str) -> Vec<String> {
    let prose = without_code_spans(&prose(text));
    let inline = prose.match_indices("](").filter_map(|(at, _)| {
        let target = prose.get(at + 2..)?.split(')').next()?;
        Some(target.split_whitespace().next().unwrap_or("").to_owned())
    });
    let references = prose.lines().filter_map(|line| {
        let (label, target) = line.strip_prefix('[')?.split_once("]: ")?;
        (!label.contains('[')).then(|| target.trim().to_owned())
    });
    inline.chain(references).collect()
}

/// What stands between single backquotes in the prose.
pub fn code_spans(text: &str) -> Vec<String> {
    // A span may go on in the next line of its paragraph.
    let spans = |paragraph: &str| {
        let line = paragraph.replace('\n', " ");
        line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    };
    prose(text).split("\n\n").flat_map(spans).collect()
}

fn without_code_spans(prose: &str) -> String {
    let line = |line: &str| line.split('`').step_by(2).collect::<Vec<_>>().join("");
    prose.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The anchors of the headings, as GitHub makes them.
pub fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = lines(text).filter(|(code, line)| !code && line.starts_with('#'));
    headings
        .map(|(_, line)| {
            let title = line.trim_start_matches('#').trim();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            let slug: String =
                kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect();
            let count = seen.entry(slug.clone()).or_insert(0);
            *count += 1;
            if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A title, *here*\n[one](a.md#b) ![two](c.svg)\n`[no](x)`\n```rust\n# [no](y)\n```\n[three]: d.md\n# A title, here\n";

    #[test]
    fn finds_what_is_written() {
        assert_eq!(links(TEXT), ["a.md#b", "c.svg", "d.md"]);
        assert_eq!(anchors(TEXT), ["a-title-here", "a-title-here-1"]);
        assert_eq!(code_spans(TEXT), ["[no](x)"]);
        assert_eq!(code_spans("a `b\nc` d\n\n`e`"), ["b c", "e"]);
        assert_eq!(blocks(TEXT), [("rust".to_owned(), "# [no](y)\n".to_owned())]);
    }
}
