//! The browser on pages of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

use fantoccini::Locator;

use subrosa_browser_testing::{Browser, DESKTOP, PHONE};

const PAGE: &str = "data:text/html,<style>@media (prefers-color-scheme: dark) { p { display: none } }</style>\
    <meta name='viewport' content='width=device-width'><p style='width: 600px; height: 3000px'>wide</p>";

#[tokio::test]
#[ignore = "needs Chromium: apt-get install chromium chromium-driver"]
async fn sizes_colours_errors_and_pictures() {
    let browser = Browser::start().await.unwrap();
    browser.client().goto(PAGE).await.unwrap();
    let paragraph = browser.client().find(Locator::Css("p")).await.unwrap();
    assert!(paragraph.is_displayed().await.unwrap());
    assert_eq!(browser.sideways_overflow().await.unwrap(), 0);
    browser.view(PHONE).await.unwrap();
    assert!(browser.sideways_overflow().await.unwrap() >= 600 - u64::from(PHONE.width));
    browser.view(DESKTOP).await.unwrap();

    // The picture holds the whole page: a PNG's header has its width and height.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.png");
    browser.screenshot(&file).await.unwrap();
    let picture = std::fs::read(file).unwrap();
    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    assert_eq!(&picture[1..4], b"PNG");
    assert_eq!(number(16), DESKTOP.width);
    assert!(number(20) >= 3_000);

    browser.dark(true).await.unwrap();
    assert!(!paragraph.is_displayed().await.unwrap());
    assert!(browser.console_errors().await.unwrap().is_empty());
    browser.client().goto("data:text/html,<script>throw new Error('at sea')</script>").await.unwrap();
    let errors = browser.console_errors().await.unwrap();
    assert!(errors.len() == 1 && errors[0].contains("at sea"), "{errors:?}");
    browser.close().await.unwrap();
}
