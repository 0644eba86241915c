//! The `renders` example, used through a browser as a person would use it.
//!
//! Needs Chromium and its WebDriver; on Debian: `apt-get install chromium chromium-driver`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "so that a test says where it failed")]

mod page;
mod process;
#[path = "../support/program.rs"]
mod program;

use std::time::Duration;

use page::Page;

#[tokio::test]
async fn a_slow_picture_is_accepted_and_followed_until_it_is_shown() {
    let page = Page::open().await;
    page.choose("#place-1").await;
    page.choose("#prefer-async").await;
    page.draw(&[("#size", "700")]).await;

    page.until(r#".entry[data-method="POST"][data-status="202"]"#).await;
    let earlier = page.until(r#"#progress:not([value="0"]):not([value="1"])"#).await;
    let earlier = earlier.attr("value").await.unwrap().unwrap();
    page.until(&format!(r#"#progress:not([value="0"]):not([value="{earlier}"])"#)).await;
    let later = page.text_of("#progress", "value").await;
    assert!(later.parse::<f64>().unwrap() > earlier.parse().unwrap());

    page.until(r#"#status[data-state="succeeded"]"#).await;
    assert_eq!(page.picture_size().await, (700, 700));
    assert_eq!(page.answers_to("GET").await, ["200 OK", "200 OK"]);
    assert_eq!(page.requests_elsewhere().await, 0);
}

#[tokio::test]
async fn a_quick_picture_is_answered_in_line() {
    let page = Page::open().await;
    page.draw(&[("#size", "64")]).await;

    page.until(r#"#status[data-state="succeeded"]"#).await;
    assert_eq!(page.picture_size().await, (64, 64));
    assert_eq!(page.answers_to("POST").await, ["200 OK"]);
    assert!(page.answers_to("GET").await.is_empty());
}

#[tokio::test]
async fn a_picture_can_be_canceled_while_it_is_drawn() {
    let page = Page::open().await;
    page.choose("#place-1").await;
    page.draw(&[("#size", "4096")]).await;

    page.until(r#"#progress:not([value="0"])"#).await;
    page.choose("#cancel").await;
    page.until(r#"#status[data-state="canceled"]"#).await;
    page.until(r#".entry[data-method="DELETE"][data-status="204"]"#).await;
    page.until("#cancel:disabled").await;
    page.until(r#"#submit:not([aria-disabled="true"])"#).await;
}

#[tokio::test]
async fn a_click_on_the_picture_draws_it_larger() {
    let page = Page::open().await;
    page.draw(&[("#size", "64")]).await;
    page.until(r#"#status[data-state="succeeded"]"#).await;

    page.choose("#zoom-in").await;
    page.until(r#"#picture[alt*="enlarged 4 times"]"#).await;
    assert_eq!(page.answers_to("POST").await, ["200 OK"]);
}

#[tokio::test]
async fn what_cannot_be_drawn_is_refused_in_the_servers_words() {
    let page = Page::open().await;
    page.draw(&[("#size", "5"), ("#zoom", "0")]).await;

    let status = page.until(r#"#status[data-state="failed"]"#).await;
    assert_eq!(
        status.text().await.unwrap(),
        "This cannot be drawn\n\
         size must be from 16 to 4096, not 5; zoom must be from 0.1 to 10000000000000, not 0."
    );
    assert_eq!(page.answers_to("POST").await, ["422 Unprocessable Entity"]);
}

#[tokio::test]
async fn a_server_that_goes_away_is_noticed() {
    let mut page = Page::open().await;
    page.choose("#place-1").await;
    page.draw(&[("#size", "4096")]).await;
    page.until(r#"#progress:not([value="0"])"#).await;

    page.kill_server();
    page.until(r#"#status[data-state="reconnecting"]"#).await;
    page.until_within(Duration::from_secs(120), r#"#status[data-state="lost"]"#).await;
    page.until("#cancel:disabled").await;
}
