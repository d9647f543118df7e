//! The page in a headless Chromium, as people use it. Run by name:
//!
//! ```console
//! apt-get install chromium chromium-driver
//! cargo test -p card-fraud --test browser -- --ignored
//! ```
//!
//! With the environment variable `PICTURES` set to a folder, the tests leave pictures of what they saw there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

mod support;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, Locator};

use subrosa_browser_testing::{Browser, DESKTOP, NARROW, PHONE, View};
use support::{Bank, SlowWay, Web};

/// A page in a browser.
struct Page {
    browser: Browser,
    web: Web,
}

impl Page {
    async fn open(web: Web) -> Self {
        let browser = Browser::start().await.unwrap();
        browser.client().goto(&web.address).await.unwrap();
        let page = Self { browser, web };
        page.shows("#processes", "Your side").await;
        page
    }

    fn client(&self) -> &Client {
        self.browser.client()
    }

    async fn find(&self, selector: &str) -> Element {
        self.client().find(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Waits until an element shows some text.
    async fn shows(&self, selector: &str, text: &str) -> String {
        let mut last = String::new();
        for _ in 0..600 {
            last = match self.client().find(Locator::Css(selector)).await {
                Ok(element) => element.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            if last.contains(text) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{selector} shows {last:?} and not {text:?}");
    }

    async fn take(&self, step: &str) {
        self.click(&format!("#step-{step} .primary")).await;
        self.client().wait().for_element(Locator::Css(&format!("#step-{step}.done"))).await.unwrap();
    }

    async fn fill(&self, field: &str, text: &str) {
        let field = self.find(&format!("[name={field}]")).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Errors of the page itself; a refused step is logged by the browser as a request that failed.
    async fn expect_no_errors(&self, but: &str) {
        let errors = self.browser.console_errors().await.unwrap();
        let errors: Vec<_> = errors.iter().filter(|error| but.is_empty() || !error.contains(but)).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }

    async fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("PICTURES") {
            let file = PathBuf::from(folder).join(format!("{name}.png"));
            self.browser.screenshot(&file).await.unwrap();
        }
    }

    /// The window, scrolled to an element.
    async fn picture_at(&self, name: &str, selector: &str) {
        if let Some(folder) = std::env::var_os("PICTURES") {
            let script = "arguments[0].scrollIntoView(); window.scrollBy(0, -16);";
            let element = serde_json::to_value(self.find(selector).await).unwrap();
            self.client().execute(script, vec![element]).await.unwrap();
            let file = PathBuf::from(folder).join(format!("{name}.png"));
            self.browser.screenshot_of_window(&file).await.unwrap();
        }
    }

    async fn has_focus(&self, id: &str) {
        for _ in 0..100 {
            let focused = self.client().active_element().await.unwrap();
            if focused.attr("id").await.unwrap().as_deref() == Some(id) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{id} does not have the focus");
    }

    async fn close(self) {
        self.browser.close().await.unwrap();
        drop(self.web);
    }
}

const TYPICAL: &str = ".presets button:nth-child(1)";
const FRAUDULENT: &str = ".presets button:nth-child(2)";

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn both_purchases_go_through_four_steps() {
    let page = Page::open(Web::start()).await;
    page.picture("start").await;
    page.take("key").await;
    page.shows("#step-key .facts", "2,048 bits").await;
    page.click(TYPICAL).await;
    page.take("encrypt").await;
    let hex = page.shows("#query-hex", "53 52 44 54").await;
    page.shows("#plain", "6.5 km").await;
    page.shows("[data-fill=query-size]", " bytes").await;
    page.take("ask").await;
    // The bank saw the very bytes that were shown before they left.
    assert_eq!(page.shows("#saw-hex", "53 52 44 54").await, hex);
    page.shows("[aria-labelledby=panel-saw]", "cannot read it").await;
    page.take("decrypt").await;
    page.shows("#verdict", "Genuine").await;
    assert_eq!(
        page.find("#status").await.prop("textContent").await.unwrap().unwrap().split('.').next(),
        Some("Genuine")
    );
    page.picture("genuine").await;

    page.click("#another").await;
    assert!(!page.find("#verdict").await.is_displayed().await.unwrap());
    page.click(FRAUDULENT).await;
    page.take("encrypt").await;
    page.take("ask").await;
    page.take("decrypt").await;
    page.shows("#verdict", "Looks like fraud").await;
    page.shows("[data-fill=total-time]", " ms").await;
    page.picture("fraud").await;
    page.browser.view(View { height: 1_196, ..DESKTOP }).await.unwrap();
    page.picture_at("desktop", "#step-ask").await;
    page.browser.view(PHONE).await.unwrap();
    page.picture("fraud-phone").await;
    page.browser.dark(true).await.unwrap();
    page.picture("fraud-phone-dark").await;
    page.picture_at("phone", "body").await;
    page.browser.view(DESKTOP).await.unwrap();
    page.picture("fraud-dark").await;
    page.expect_no_errors("").await;
    page.close().await;
}

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn the_same_purchase_gives_other_bytes_and_a_changed_one_is_not_asked_about() {
    let page = Page::open(Web::start()).await;
    page.take("key").await;
    page.click(TYPICAL).await;
    page.take("encrypt").await;
    let first = page.shows("#query-hex", "53 52 44 54").await;
    page.click("#encrypt").await;
    let mut second = first.clone();
    for _ in 0..100 {
        second = page.find("#query-hex").await.text().await.unwrap();
        if second != first {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_ne!(first, second);
    page.take("ask").await;
    assert!(page.find("#decrypt").await.is_enabled().await.unwrap());
    page.fill("distance_from_home", "7").await;
    assert!(!page.find("#ask").await.is_enabled().await.unwrap());
    assert!(!page.find("#decrypt").await.is_enabled().await.unwrap());
    assert!(!page.find("#query-hex").await.is_displayed().await.unwrap());

    // A page that is loaded again still has its key.
    page.client().refresh().await.unwrap();
    page.client().wait().for_element(Locator::Css("#step-key.done")).await.unwrap();
    page.expect_no_errors("").await;
    page.close().await;
}

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn wrong_values_are_explained_where_they_are() {
    let page = Page::open(Web::start()).await;
    page.take("key").await;
    page.click(TYPICAL).await;
    page.fill("distance_from_home", "-3").await;
    page.fill("ratio_to_median_purchase_price", "1,5").await;
    page.click("#encrypt").await;
    page.shows("#error-distance_from_home", "cannot be negative").await;
    page.shows("#error-ratio_to_median_purchase_price", "“1.5”, with a point").await;
    page.shows("#step-encrypt .problem", "2 values cannot be used").await;
    let field = page.find("#distance_from_home").await;
    assert_eq!(field.attr("aria-invalid").await.unwrap().as_deref(), Some("true"));
    page.has_focus("distance_from_home").await;
    page.picture("wrong").await;
    assert!(!page.find("#ask").await.is_enabled().await.unwrap());

    page.fill("distance_from_home", "3").await;
    page.fill("ratio_to_median_purchase_price", "1.5").await;
    page.take("encrypt").await;
    assert_eq!(page.find("#step-encrypt .problem").await.text().await.unwrap(), "");
    page.expect_no_errors("422").await;
    page.close().await;
}

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn a_stopped_server_is_said_and_the_page_recovers() {
    let bank = Bank::start("127.0.0.1:0");
    let address = bank.address.clone();
    let page = Page::open(Web::with(&["--server", &address])).await;
    page.take("key").await;
    page.click(TYPICAL).await;
    page.take("encrypt").await;
    bank.stop();
    page.click("#ask").await;
    page.shows("#step-ask .problem", "does not answer").await;
    page.shows("#step-ask .problem", &address).await;
    page.picture("away").await;
    let bank = Bank::start(&address);
    page.shows("#step-ask .problem", "answers again").await;
    page.click("#step-ask .problem button").await;
    page.client().wait().for_element(Locator::Css("#step-ask.done")).await.unwrap();
    page.has_focus("ask").await;
    page.shows("#saw-source", "keeps its journal to itself").await;
    page.take("decrypt").await;
    page.shows("#verdict", "Genuine").await;
    page.expect_no_errors("502").await;
    bank.stop();
    page.close().await;
}

/// Answers and failures that come after the purchase was changed speak of another one.
#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn what_comes_too_late_is_not_taken_for_the_new_purchase() {
    let bank = Bank::start("127.0.0.1:0");
    let way = SlowWay::to(&bank.address);
    let page = Page::open(Web::with(&["--server", &way.address])).await;
    page.take("key").await;
    let busy = async || page.find("#ask").await.attr("aria-busy").await.unwrap();
    for answered in [true, false] {
        page.click(FRAUDULENT).await;
        page.take("encrypt").await;
        let late = way.hold_next();
        page.click("#ask").await;
        let status = page.find("#status").await.prop("textContent").await.unwrap().unwrap();
        assert_eq!(status, "Waiting for the bank’s answer.");
        page.picture(if answered { "waiting" } else { "waiting-again" }).await;
        // As long as the bank takes its time, the page is as usable as before.
        assert_eq!(busy().await.as_deref(), Some("true"));
        page.click(TYPICAL).await;
        assert_eq!(busy().await, None);
        assert!(!page.find("#ask").await.is_enabled().await.unwrap());
        page.take("encrypt").await;
        if answered {
            late.send(()).unwrap();
        }
        drop(late);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(page.client().find(Locator::Css("#step-ask.done")).await.is_err());
        assert_eq!(page.find("#step-ask .problem").await.text().await.unwrap(), "");
        page.take("ask").await;
        page.take("decrypt").await;
        page.shows("#verdict", "Genuine").await;
    }
    // The same while another answer is still on its way, and with a new key.
    page.click(FRAUDULENT).await;
    page.take("encrypt").await;
    let late = way.hold_next();
    page.click("#ask").await;
    page.shows("#status", "").await;
    page.click("#make-key").await;
    page.client().wait().for_element(Locator::Css("#step-encrypt.open")).await.unwrap();
    page.take("encrypt").await;
    page.take("ask").await;
    late.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    page.take("decrypt").await;
    page.shows("#verdict", "Looks like fraud").await;
    page.expect_no_errors("").await;
    bank.stop();
    page.close().await;
}

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn a_bank_of_its_own_can_be_started_again_from_the_page() {
    let page = Page::open(Web::start()).await;
    page.take("key").await;
    page.click(FRAUDULENT).await;
    page.take("encrypt").await;
    let processes = page.shows("#processes", "Bank’s side").await;
    let bank = processes.rsplit("process ").next().unwrap().trim_end_matches('.').parse().unwrap();
    support::signal(bank, "-KILL");
    tokio::time::sleep(Duration::from_millis(200)).await;
    page.click("#ask").await;
    page.shows("#step-ask .problem", "has stopped").await;
    page.click("#step-ask .problem button").await;
    page.client().wait().for_element(Locator::Css("#step-ask.done")).await.unwrap();
    assert_ne!(page.shows("#processes", "Bank’s side").await, processes);
    page.take("decrypt").await;
    page.shows("#verdict", "Looks like fraud").await;
    page.expect_no_errors("502").await;
    page.close().await;
}

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn an_expired_key_and_an_ended_process_are_said() {
    let page = Page::open(Web::with(&["--rows", support::ROWS, "--idle", "3"])).await;
    page.take("key").await;
    page.click(TYPICAL).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    page.click("#encrypt").await;
    page.shows("#step-encrypt .problem", "has been wiped").await;
    page.click("#step-encrypt .problem button").await;
    page.client().wait().for_element(Locator::Css("#step-key.done")).await.unwrap();
    page.has_focus("make-key").await;
    page.take("encrypt").await;
    page.expect_no_errors("410").await;

    let mut page = page;
    page.web.process.signal("-TERM");
    page.web.process.wait();
    page.click("#ask").await;
    page.shows("#step-ask .problem", "local process that serves this page does not answer").await;
    page.close().await;
}

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn nothing_is_wider_than_the_window() {
    let page = Page::open(Web::start()).await;
    for view in [DESKTOP, PHONE, NARROW] {
        page.browser.view(view).await.unwrap();
        assert_eq!(page.browser.sideways_overflow().await.unwrap(), 0, "{view:?}");
    }
    page.take("key").await;
    page.click(FRAUDULENT).await;
    for step in ["encrypt", "ask", "decrypt"] {
        page.take(step).await;
    }
    for summary in page.client().find_all(Locator::Css("summary")).await.unwrap() {
        summary.click().await.unwrap();
    }
    page.picture("narrow").await;
    for view in [NARROW, PHONE, DESKTOP] {
        page.browser.view(view).await.unwrap();
        assert_eq!(page.browser.sideways_overflow().await.unwrap(), 0, "{view:?}");
    }
    page.expect_no_errors("").await;
    page.close().await;
}

/// Text, with the colours that it has against what lies behind it: at least 4.5 to 1 (WCAG 2.2, level AA).
const PALE_TEXTS: &str = r#"
    const rgb = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
    const solid = ([, , , alpha = 1]) => alpha > 0.99;
    const linear = (part) => part <= 10.31 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = (element) => {
        for (let it = element; it; it = it.parentElement) {
            const colour = rgb(getComputedStyle(it).backgroundColor);
            if (solid(colour)) return colour;
            const box = it.matches?.("g") && it.querySelector("rect");
            if (box) return rgb(getComputedStyle(box).fill);
        }
        return [255, 255, 255];
    };
    const pale = [];
    let looked = 0;
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.checkVisibility() || element.closest("title, desc, noscript")) continue;
        const style = getComputedStyle(element);
        const text = rgb(element.closest("svg") ? style.fill : style.color);
        const [a, b] = [light(text), light(behind(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        looked += 1;
        if (ratio < 4.5) pale.push(`${element.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return [looked, pale];
"#;

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn text_stands_out_in_light_and_dark_and_every_field_has_its_name() {
    let page = Page::open(Web::start()).await;
    let check = async |when: &str| {
        for dark in [false, true] {
            page.browser.dark(dark).await.unwrap();
            let found = page.client().execute(PALE_TEXTS, Vec::new()).await.unwrap();
            assert!(found[0].as_u64().unwrap() > 50, "{when}: {found}");
            assert_eq!(found[1], serde_json::json!([]), "{when}, dark: {dark}");
        }
    };
    check("at the start").await;
    page.take("key").await;
    page.click(TYPICAL).await;
    page.fill("distance_from_home", "x").await;
    page.click("#encrypt").await;
    page.shows("#error-distance_from_home", "not a number").await;
    check("with an error").await;
    for (preset, verdict) in [(FRAUDULENT, "Looks like fraud"), (TYPICAL, "Genuine")] {
        page.click(preset).await;
        for step in ["encrypt", "ask", "decrypt"] {
            page.take(step).await;
        }
        page.shows("#verdict", verdict).await;
        check(verdict).await;
    }
    let script = "return [...document.querySelectorAll('input')].filter((it) => !it.labels[0]?.textContent.trim())
        .concat([...document.querySelectorAll('button, summary')].filter((it) => !it.textContent.trim())).length;";
    assert_eq!(page.client().execute(script, Vec::new()).await.unwrap(), 0);
    page.close().await;
}

/// Even if something were smuggled into the page, it could neither run nor reach anybody.
#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn the_page_runs_no_foreign_script_and_asks_nobody_else() {
    let page = Page::open(Web::start()).await;
    let smuggle = r#"
        const attempts = [
            () => { const script = document.createElement("script"); script.textContent = "window.ran = 1";
                    document.body.append(script); },
            () => { document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = 1'>"); },
            () => { const link = document.createElement("a"); link.setAttribute("onclick", "window.ran = 1");
                    document.body.append(link); link.click(); },
        ];
        for (const attempt of attempts) { try { attempt(); } catch { /* as it should be */ } }
        return [window.ran ?? null, document.querySelectorAll("img").length];
    "#;
    let found = page.client().execute(smuggle, Vec::new()).await.unwrap();
    assert_eq!(found, serde_json::json!([null, 0]));
    // Nothing listens there; but the policy has to object before anybody finds out.
    let reach = "const done = arguments[0];
        let blocked = 'nothing';
        document.addEventListener('securitypolicyviolation', (event) => { blocked = event.effectiveDirective; });
        fetch('http://127.0.0.2:9/').catch(() => setTimeout(() => done(blocked), 100));";
    assert_eq!(page.client().execute_async(reach, Vec::new()).await.unwrap(), "connect-src");
    // Neither the page nor what the browser keeps of it holds a key.
    let keeps = "return [localStorage.length, sessionStorage.length, document.cookie];";
    assert_eq!(page.client().execute(keeps, Vec::new()).await.unwrap(), serde_json::json!([0, 0, ""]));
    page.close().await;
}

/// A page of somebody else, at another port of this machine.
fn foreign_page() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4_096]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\nConnection: close\r\n\r\nforeign",
            );
        }
    });
    address
}

/// Even with the token, another page on the same machine can neither drive this one nor read it nor show it.
#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn another_local_page_cannot_use_this_one() {
    let page = Page::open(Web::start()).await;
    page.client().goto(&foreign_page()).await.unwrap();
    let attack = r#"
        const [address, done] = arguments;
        const outcome = async (mode, type) => {
            const headers = { "Content-Type": type };
            try { return (await fetch(`${address}api/key`, { method: "POST", mode, headers, body: "{}" })).type; }
            catch { return "blocked"; }
        };
        (async () => {
            const sent = await outcome("no-cors", "text/plain");
            const asked = await outcome("cors", "application/json");
            const read = await fetch(`${address}api/state`).then(() => "read", () => "blocked");
            const frame = document.createElement("iframe");
            frame.src = address;
            frame.onload = () => {
                let shown;
                try { shown = frame.contentDocument?.title ?? "nothing to see"; } catch { shown = "nothing to see"; }
                done([sent, asked, read, shown]);
            };
            document.body.append(frame);
        })();
    "#;
    let outcome = page.client().execute_async(attack, vec![page.web.address.as_str().into()]).await.unwrap();
    // The first was sent, as any site may send it, and came to nothing, as is seen below.
    let expected = serde_json::json!([["opaque", "blocked"], "blocked", "blocked", "nothing to see"]);
    assert!(expected[0].as_array().unwrap().contains(&outcome[0]), "{outcome}");
    for place in 1..4 {
        assert_eq!(outcome[place], expected[place], "{outcome}");
    }
    page.client().goto(&page.web.address).await.unwrap();
    page.shows("#processes", "Your side").await;
    assert!(page.client().find(Locator::Css("#step-key.done")).await.is_err());
    page.close().await;
}

/// Presses Tab until an element has the focus, then the key.
async fn tab_to(page: &Page, selector: &str, key: &str) {
    for _ in 0..40 {
        let focused = page.client().active_element().await.unwrap();
        let script = "return arguments[0].matches(arguments[1]);";
        let arguments = vec![serde_json::to_value(&focused).unwrap(), selector.into()];
        if page.client().execute(script, arguments).await.unwrap() == true {
            // Whoever uses the keyboard sees where they are; switches show it on the track beside them.
            let outline =
                "const it = arguments[0].matches('[role=switch]') ? arguments[0].nextElementSibling :
                arguments[0].matches('input') ? arguments[0].parentElement : arguments[0];
                return parseFloat(getComputedStyle(it).outlineWidth);";
            let width = page.client().execute(outline, vec![serde_json::to_value(&focused).unwrap()]).await;
            assert!(width.unwrap().as_f64().unwrap() >= 2.0, "{selector}");
            focused.send_keys(key).await.unwrap();
            return;
        }
        page.client()
            .active_element()
            .await
            .unwrap()
            .send_keys(&char::from(Key::Tab).to_string())
            .await
            .unwrap();
    }
    panic!("{selector} is not reached by Tab");
}

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn the_keyboard_alone_is_enough() {
    let page = Page::open(Web::start()).await;
    let (enter, space) = (char::from(Key::Enter).to_string(), " ");
    tab_to(&page, "#make-key", &enter).await;
    page.client().wait().for_element(Locator::Css("#step-key.done")).await.unwrap();
    tab_to(&page, "#step-key summary", &enter).await;
    page.shows("#step-key details p", "Random bits, drawn").await;
    tab_to(&page, "#distance_from_home", "400").await;
    tab_to(&page, "#distance_from_last_transaction", "2").await;
    tab_to(&page, "#ratio_to_median_purchase_price", "9").await;
    tab_to(&page, "[name=online_order]", space).await;
    tab_to(&page, "#encrypt", &enter).await;
    page.client().wait().for_element(Locator::Css("#step-encrypt.done")).await.unwrap();
    page.shows("#plain", "400 km").await;
    tab_to(&page, "#ask", space).await;
    page.client().wait().for_element(Locator::Css("#step-ask.done")).await.unwrap();
    tab_to(&page, "#decrypt", &enter).await;
    page.shows("#verdict", "Looks like fraud").await;
    tab_to(&page, "#another", &enter).await;
    let focused = page.client().active_element().await.unwrap();
    assert_eq!(focused.text().await.unwrap(), "A typical purchase");
    page.expect_no_errors("").await;
    page.close().await;
}
