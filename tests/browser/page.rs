//! The page of the example, in a headless browser of its own.

use std::time::Duration;

use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver, WebElement, prelude::ElementQueryable};
use tokio::sync::{Mutex, MutexGuard};

use super::process::{Driver, Server, chromium};

/// Generous: an unoptimised build on a busy machine draws slowly.
const DEADLINE: Duration = Duration::from_secs(180);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Drawing takes every core, so that two tests at a time would only slow each other down.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A browser that shows the page. All that it needs ends when it is dropped.
pub(crate) struct Page {
    browser: WebDriver,
    _driver: Driver,
    server: Server,
    _turn: MutexGuard<'static, ()>,
}

impl Page {
    pub(crate) async fn open() -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let server = Server::start();
        let driver = Driver::start();
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary(&chromium().to_string_lossy()).unwrap();
        for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"] {
            wanted.add_arg(argument).unwrap();
        }
        let browser = WebDriver::new(driver.url(), wanted).await.unwrap();
        browser.goto(&server.url).await.unwrap();
        Self { browser, _driver: driver, server, _turn: turn }
    }

    pub(crate) fn kill_server(&mut self) {
        self.server.program.kill();
    }

    pub(crate) async fn choose(&self, css: &str) {
        self.until(css).await.click().await.unwrap();
    }

    /// Types these values over what is in the fields, and submits the form.
    pub(crate) async fn draw(&self, fields: &[(&str, &str)]) {
        for (css, value) in fields {
            let field = self.until(css).await;
            field.clear().await.unwrap();
            field.send_keys(*value).await.unwrap();
        }
        self.choose("#submit").await;
    }

    /// Waits until the page has an element like this.
    pub(crate) async fn until(&self, css: &str) -> WebElement {
        self.until_within(DEADLINE, css).await
    }

    pub(crate) async fn until_within(&self, deadline: Duration, css: &str) -> WebElement {
        let query = self.browser.query(By::Css(css));
        match query.wait(deadline, POLL_INTERVAL).first().await {
            Ok(element) => element,
            Err(error) => {
                panic!("no {css} after {deadline:?}, but {:?}: {error}", self.text_of("#status", "textContent").await)
            }
        }
    }

    /// A property of an element, as text.
    pub(crate) async fn text_of(&self, css: &str, property: &str) -> String {
        let element = self.browser.find(By::Css(css)).await.unwrap();
        element.prop(property).await.unwrap().unwrap_or_default()
    }

    /// The size in pixels of the picture that is shown.
    pub(crate) async fn picture_size(&self) -> (u32, u32) {
        self.until("#zoom-in:not([hidden]) #picture[src]").await;
        let width = self.text_of("#picture", "naturalWidth").await;
        let height = self.text_of("#picture", "naturalHeight").await;
        (width.parse().unwrap(), height.parse().unwrap())
    }

    /// The status lines in the list of requests, of those with this method.
    pub(crate) async fn answers_to(&self, method: &str) -> Vec<String> {
        let css = format!(r#".entry[data-method="{method}"] .answer"#);
        let mut answers = Vec::new();
        for answer in self.browser.find_all(By::Css(css)).await.unwrap() {
            answers.push(answer.text().await.unwrap());
        }
        answers
    }

    /// How many requests the page made to anything but its own server.
    pub(crate) async fn requests_elsewhere(&self) -> u64 {
        let script = "return performance.getEntriesByType('resource')
            .filter(({ name }) => !/^(blob|data):/.test(name) && new URL(name).origin !== location.origin).length";
        let counted = self.browser.execute(script, Vec::new()).await.unwrap();
        counted.json().as_u64().unwrap()
    }
}

impl Drop for Page {
    /// The driver closes the browser when it ends; asked here, with the runtime's only thread blocked, it could not
    /// answer.
    fn drop(&mut self) {
        let _ = self.browser.clone().leak();
    }
}
