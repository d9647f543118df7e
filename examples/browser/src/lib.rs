#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod command;
mod driver;

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use command::Command;
use driver::Driver;

/// What can go wrong between a test and its browser. Its `Debug` is its message, for tests that unwrap.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// chromedriver cannot be started.
    #[error("{program}: {source}; to get it: apt-get install chromium chromium-driver")]
    Missing {
        /// What was to be started.
        program: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// chromedriver ended, or says nothing of a port.
    #[error("chromedriver does not say where it listens")]
    Driver,
    /// Chromium cannot be started.
    #[error("Chromium does not start ({0}); to get it: apt-get install chromium chromium-driver")]
    Session(#[from] fantoccini::error::NewSessionError),
    /// A command failed.
    #[error(transparent)]
    Command(#[from] fantoccini::error::CmdError),
    /// A profile or a picture cannot be written.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// chromedriver answers in another form than expected.
    #[error("unexpected answer: {0}")]
    Answer(Value),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The size of a page's visible part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Width in CSS pixels.
    pub width: u32,
    /// Height in CSS pixels.
    pub height: u32,
    /// Whether it is a telephone's, with its scaling and without room for scroll bars.
    pub mobile: bool,
}

/// A desktop window.
pub const DESKTOP: View = View { width: 1_280, height: 800, mobile: false };
/// A common telephone.
pub const PHONE: View = View { width: 390, height: 844, mobile: true };
/// The narrowest width at which a page must still work (WCAG 2.2, criterion 1.4.10).
pub const NARROW: View = View { width: 320, height: 640, mobile: true };

/// A headless Chromium with a fresh profile. It ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    // Before the profile, which Chromium writes to until it ends.
    _driver: Driver,
    _profile: TempDir,
}

impl Browser {
    /// Starts chromedriver and Chromium, at desktop size and light.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Session`], which say how to get them; [`Error::Driver`].
    pub async fn start() -> Result<Self, Error> {
        let driver = Driver::start()?;
        let profile = tempfile::tempdir()?;
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(profile.path()))
            .connect(&driver.address())
            .await?;
        let browser = Self { client, _driver: driver, _profile: profile };
        browser.view(DESKTOP).await?;
        browser.dark(false).await?;
        Ok(browser)
    }

    /// The `WebDriver` client: navigation, elements, keys, scripts.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sets the size of the page's visible part.
    ///
    /// # Errors
    /// [`Error::Command`].
    pub async fn view(&self, view: View) -> Result<(), Error> {
        let View { width, height, mobile } = view;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await?;
        self.settle().await
    }

    /// Whether the page is told that its user prefers dark colours. It is always told to keep still.
    ///
    /// # Errors
    /// [`Error::Command`].
    pub async fn dark(&self, dark: bool) -> Result<(), Error> {
        let scheme = if dark { "dark" } else { "light" };
        // What moves is hard to click on, and pictures of it differ.
        let still = json!({ "name": "prefers-reduced-motion", "value": "reduce" });
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }, still] });
        self.devtools("Emulation.setEmulatedMedia", media).await?;
        self.settle().await
    }

    /// Waits until the page is drawn anew.
    async fn settle(&self) -> Result<(), Error> {
        const SCRIPT: &str = "const done = arguments[0];
            requestAnimationFrame(() => requestAnimationFrame(() => done()));";
        Ok(self.client.execute_async(SCRIPT, Vec::new()).await.map(drop)?)
    }

    /// Writes a PNG picture of the whole page, also of what does not fit the window.
    ///
    /// # Errors
    /// [`Error::Command`]; [`Error::File`].
    pub async fn screenshot(&self, file: &Path) -> Result<(), Error> {
        let layout = self.devtools("Page.getLayoutMetrics", json!({})).await?;
        let (width, height) =
            (&layout["cssVisualViewport"]["clientWidth"], &layout["cssContentSize"]["height"]);
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let arguments = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.devtools("Page.captureScreenshot", arguments).await?;
        let text = picture["data"].as_str().ok_or_else(|| Error::Answer(picture.clone()))?;
        let bytes = BASE64.decode(text).map_err(|_| Error::Answer(picture.clone()))?;
        Ok(std::fs::write(file, bytes)?)
    }

    /// Writes a PNG picture of what is in the window, as far as the page is scrolled.
    ///
    /// # Errors
    /// [`Error::Command`]; [`Error::File`].
    pub async fn screenshot_of_window(&self, file: &Path) -> Result<(), Error> {
        Ok(std::fs::write(file, self.client.screenshot().await?)?)
    }

    /// What the page has reported as errors since the last call: exceptions, violated policies, failed requests.
    ///
    /// # Errors
    /// [`Error::Command`].
    pub async fn console_errors(&self) -> Result<Vec<String>, Error> {
        let command = Command { path: "se/log", body: json!({ "type": "browser" }) };
        let log = self.client.issue_cmd(command).await?;
        let entries = log.as_array().ok_or_else(|| Error::Answer(log.clone()))?;
        let errors = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        Ok(errors.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// How many CSS pixels of the page's width lie outside of the window: 0 unless it scrolls sideways.
    ///
    /// # Errors
    /// [`Error::Command`].
    pub async fn sideways_overflow(&self) -> Result<u64, Error> {
        const SCRIPT: &str = "const page = document.documentElement;
            return Math.max(0, Math.max(page.scrollWidth, document.body.scrollWidth) - page.clientWidth);";
        let overflow = self.client.execute(SCRIPT, Vec::new()).await?;
        overflow.as_u64().ok_or(Error::Answer(overflow))
    }

    /// Issues a command of the Chrome `DevTools` Protocol.
    ///
    /// # Errors
    /// [`Error::Command`].
    pub async fn devtools(&self, command: &str, arguments: Value) -> Result<Value, Error> {
        let body = json!({ "cmd": command, "params": arguments });
        Ok(self.client.issue_cmd(Command { path: "goog/cdp/execute", body }).await?)
    }

    /// Ends the session, Chromium and chromedriver.
    ///
    /// # Errors
    /// [`Error::Command`].
    pub async fn close(self) -> Result<(), Error> {
        Ok(self.client.clone().close().await?)
    }
}

fn capabilities(profile: &Path) -> serde_json::Map<String, Value> {
    let arguments = [
        "--headless",
        // Tests run as root in containers, where Chromium's own sandbox does not start.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        // Nothing but the page under test is to be asked for anything.
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
    ];
    let mut arguments: Vec<String> = arguments.map(String::from).into();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    let mut options = json!({ "args": arguments });
    if let Ok(binary) = std::env::var("CHROMIUM") {
        options["binary"] = binary.into();
    }
    let mut capabilities = serde_json::Map::new();
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
    capabilities
}
