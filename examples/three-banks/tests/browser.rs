//! The report in a real browser: it opens without an error and shows the numbers of the JSON.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

mod common;

use std::collections::HashMap;
use std::path::Path;

use fantoccini::actions::{InputSource, KeyAction, KeyActions, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, Locator};
use serde_json::Value;

use common::{HOSTILE, Run, index, page, run, view};
use subrosa_browser_testing::{Browser, DESKTOP, NARROW, PHONE};

async fn open(browser: &Browser, file: &Path) {
    browser.client().goto(&format!("file://{}", file.display())).await.unwrap();
}

async fn text(client: &Client, css: &str) -> String {
    client.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
}

/// The exact numbers behind what stands in an element.
async fn numbers(element: &Element) -> Vec<f64> {
    let mut numbers = Vec::new();
    for data in element.find_all(Locator::Css("data")).await.unwrap() {
        numbers.push(data.attr("value").await.unwrap().unwrap().parse().unwrap());
    }
    numbers
}

/// Whether two lists of numbers are equal but for the last digit, in which ways to read a number differ.
#[track_caller]
fn assert_equal(shown: &[f64], expected: &[f64], of: &str) {
    let close = |(left, right): (&f64, &f64)| (left - right).abs() <= 1e-12 * right.abs();
    assert_eq!(shown.len(), expected.len(), "{of}");
    assert!(shown.iter().zip(expected).all(close), "{of}: {shown:?}, but {expected:?}");
}

/// The accounts of a page by full name, as its data have them.
fn accounts(page: &Value) -> HashMap<String, Value> {
    let full = |account: &Value| {
        let bank = &page["banks"][index(&account["bank"])]["name"];
        format!("{}/{}", bank.as_str().unwrap(), account["id"].as_str().unwrap())
    };
    page["accounts"].as_array().unwrap().iter().map(|account| (full(account), account.clone())).collect()
}

/// What the panel tells is the account's.
async fn assert_told(client: &Client, accounts: &HashMap<String, Value>) -> String {
    let name = text(client, "#detail-name").await;
    let panel = client.find(Locator::Css("#detail dl")).await.unwrap();
    let shown = panel.text().await.unwrap();
    assert!(shown.contains(name.split_once('/').unwrap().0), "{shown}");
    match accounts[&name].get("score") {
        None => assert!(shown.contains("unknown") && numbers(&panel).await.is_empty(), "{shown}"),
        Some(score) => {
            let field = |field: &str| score[field].as_f64().unwrap();
            let expected = [field("before"), field("after"), field("rank_before"), field("rank_after")];
            assert_equal(&numbers(&panel).await, &expected, &name);
            assert!(shown.contains(&format!("{:.4} → {:.6}", expected[0], expected[1])), "{shown}");
        }
    }
    name
}

/// Times and bytes by phase and bank, sizes, ranks.
async fn assert_numbers(client: &Client, run: &Run) {
    let json = run.json();
    let phases = json["phases"].as_array().unwrap();
    let cells = client.find_all(Locator::Css("#costs td[data-phase]")).await.unwrap();
    assert_eq!(cells.len(), phases.len());
    for phase in phases {
        let of = |field: &str| phase[field].as_str().unwrap().to_owned();
        let css = format!("[data-phase=\"{}\"][data-party=\"{}\"]", of("name"), of("party"));
        let cell = client.find(Locator::Css(&css)).await.unwrap();
        let number = |field: &str| phase[field].as_f64().unwrap();
        let expected = [number("wall_s"), number("cpu_s"), number("bytes_sent"), number("messages")];
        assert_equal(&numbers(&cell).await, &expected, &css);
        let shown = cell.text().await.unwrap();
        let wall = expected[0];
        let wall = if wall < 0.9995 { format!("{:.0} ms", wall * 1000.0) } else { format!("{wall:.2} s") };
        assert!(shown.starts_with(&wall), "{shown}");
    }
    for (tile, field) in [("accounts", "accounts"), ("edges", "edges"), ("difference", "largest_difference")]
    {
        let tile = client.find(Locator::Id(&format!("tile-{tile}"))).await.unwrap();
        let value: f64 = tile.attr("value").await.unwrap().unwrap().parse().unwrap();
        assert_equal(&[value], &[json[field].as_f64().unwrap()], field);
    }
    assert_eq!(text(client, "#tile-accounts").await, "24");
}

/// Ranks and scores are those of the files, of the risk type that is shown.
async fn assert_ranks(client: &Client, run: &Run, column: usize, accounts: &HashMap<String, Value>) {
    let after = run.after(column);
    let rows = client.find_all(Locator::Css("#ranks tbody tr")).await.unwrap();
    assert!(rows.len() > 9);
    for row in rows {
        let name = row.attr("data-account").await.unwrap().unwrap();
        let (bank, id) = name.split_once('/').unwrap();
        let score = &accounts[&name]["score"];
        let field = |field: &str| score[field].as_f64().unwrap();
        let shown = numbers(&row).await;
        let expected = [field("rank_after"), field("rank_before"), field("before"), field("after")];
        assert_equal(&shown, &expected, &name);
        assert_equal(&shown[3..], &[after[&(bank.to_owned(), id.to_owned())]], &name);
        assert!(row.text().await.unwrap().ends_with(&format!("{:.4}", shown[3])));
    }
}

/// The tab key, pointing and tapping each tell of an account.
async fn assert_interactive(browser: &Browser, accounts: &HashMap<String, Value>) {
    let client = browser.client();
    let mut told = Vec::new();
    let nodes = client.find_all(Locator::Css("#network .node")).await.unwrap();
    let area = Locator::Css(".area");
    for node in &nodes {
        let (down, up) =
            (KeyAction::Down { value: Key::Tab.into() }, KeyAction::Up { value: Key::Tab.into() });
        client.perform_actions(KeyActions::new("keys".to_owned()).then(down).then(up)).await.unwrap();
        let name = assert_told(client, accounts).await;
        assert_words(node, &name).await;
        let focused = client.active_element().await.unwrap();
        assert_eq!(focused.attr("aria-label").await.unwrap(), node.attr("aria-label").await.unwrap());
    }
    for node in &nodes {
        let spot = node.find(area).await.unwrap();
        client.execute("arguments[0].scrollIntoView({ block: 'center' })", vec![json(&spot)]).await.unwrap();
        // From elsewhere: a page that only scrolls below a resting pointer tells of nothing.
        let away = PointerAction::MoveTo { duration: None, x: 1.0, y: 1.0 };
        let to = PointerAction::MoveToElement { element: spot, duration: None, x: 0.0, y: 0.0 };
        client.perform_actions(MouseActions::new("mouse".to_owned()).then(away).then(to)).await.unwrap();
        let name = assert_told(client, accounts).await;
        assert_words(node, &name).await;
    }
    browser.view(PHONE).await.unwrap();
    for place in 0..nodes.len() {
        // The figure has been drawn anew for the width.
        let nodes = client.find_all(Locator::Css("#network .node")).await.unwrap();
        let spot = nodes[place].find(area).await.unwrap();
        client.execute("arguments[0].scrollIntoView({ block: 'center' })", vec![json(&spot)]).await.unwrap();
        spot.click().await.unwrap();
        let name = assert_told(client, accounts).await;
        assert_words(&nodes[place], &name).await;
        told.push(name);
    }
    // The hostile name, too, as text.
    assert!(told.contains(&format!("north/{HOSTILE}")), "{told:?}");
    browser.view(DESKTOP).await.unwrap();
}

fn json(element: &Element) -> Value {
    serde_json::to_value(element).unwrap()
}

/// What a screen reader says of a node names the account.
async fn assert_words(node: &Element, name: &str) {
    let (bank, id) = name.split_once('/').unwrap();
    let words = node.attr("aria-label").await.unwrap().unwrap();
    assert!(words.starts_with(&format!("{id} of {bank}, score ")), "{words}, but {name}");
}

/// Fits at every width in both colours, and has reported nothing.
async fn assert_fits(browser: &Browser) {
    for dark in [false, true] {
        browser.dark(dark).await.unwrap();
        for view in [DESKTOP, PHONE, NARROW] {
            browser.view(view).await.unwrap();
            assert_eq!(browser.sideways_overflow().await.unwrap(), 0, "{}", view.width);
        }
    }
    browser.view(DESKTOP).await.unwrap();
    browser.dark(false).await.unwrap();
    assert_eq!(browser.console_errors().await.unwrap(), [""; 0]);
}

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn joint_report() {
    let run = run(2);
    let browser = Browser::start().await.unwrap();
    let client = browser.client();
    open(&browser, &run.path("report.html")).await;
    assert_eq!(browser.console_errors().await.unwrap(), [""; 0]);
    assert!(text(client, "#notice").await.starts_with("This page shows the data of all banks at once."));
    assert!(text(client, "#warnings").await.contains("512 bits can be factored"));
    let (data, _) = page(&run.read("report.html"));
    assert_numbers(client, &run).await;
    let first = accounts(&view(&data, 0));
    assert!(first.contains_key(&format!("north/{HOSTILE}")));
    for column in [1, 0] {
        let accounts = accounts(&view(&data, column));
        let select = client.find(Locator::Id("type")).await.unwrap();
        select.select_by_index(column).await.unwrap();
        assert_ranks(client, &run, column, &accounts).await;
        assert_eq!(client.find_all(Locator::Css("#movement svg")).await.unwrap().len(), 3);
        // What is told of the first account, before any is pointed at.
        assert_told(client, &accounts).await;
    }
    assert_interactive(&browser, &first).await;
    assert_fits(&browser).await;

    // Nothing of the hostile name ran, and no element came of it.
    assert!(client.get_alert_text().await.is_err());
    assert_eq!(client.find_all(Locator::Css("script")).await.unwrap().len(), 2);
    // Nothing was loaded, and nothing but the page's own script may run.
    let loaded = client.execute("return performance.getEntriesByType('resource').length", Vec::new()).await;
    assert_eq!(loaded.unwrap(), 0);
    let foreign = "const other = document.createElement('script');
        other.textContent = 'window.foreign = true';
        document.body.append(other);
        return window.foreign === true;";
    assert_eq!(client.execute(foreign, Vec::new()).await.unwrap(), false);
    let errors = browser.console_errors().await.unwrap();
    assert!(errors.len() == 1 && errors[0].contains("Content Security Policy"), "{errors:?}");
    browser.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn report_of_one_bank() {
    let run = run(1);
    let browser = Browser::start().await.unwrap();
    let client = browser.client();
    open(&browser, &run.path("reports/south.html")).await;
    assert!(text(client, "#notice").await.starts_with("This page holds what south knows, and nothing else"));
    let (data, _) = page(&run.read("reports/south.html"));
    // With one risk type there is nothing to choose.
    assert!(!client.find(Locator::Id("types")).await.unwrap().is_displayed().await.unwrap());
    let accounts = accounts(&view(&data, 0));
    assert!(accounts.values().any(|account| account.get("score").is_none()));
    assert_interactive(&browser, &accounts).await;
    let movement = client.find(Locator::Id("movement-card")).await.unwrap();
    assert!(!movement.is_displayed().await.unwrap());
    let body = text(client, "body").await;
    assert!(body.contains(HOSTILE) && !body.contains("south/east"), "{body}");
    assert_fits(&browser).await;
    browser.close().await.unwrap();
}
