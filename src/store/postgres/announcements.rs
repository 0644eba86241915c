//! What others change is announced by `NOTIFY`: a hint that makes it quicker. As notifications put all commits of the
//! database in one line, they are sent by themselves, many at once, and not by the transactions that they tell of.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    database::{Database, Way, sound},
    literal::hex,
    statement::Statement,
};
use crate::{
    operation::OperationId,
    store::contract::{Change, Listener},
};

/// A payload holds at most 8,000 bytes.
const IN_PAYLOAD: usize = 200;

/// So many are sent with one statement.
const AT_ONCE: usize = 10_000;

/// How long it takes at first, and at most, until an interrupted listener tries again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Nothing of this transaction is to be kept, so nobody need wait for the disk.
pub(super) const NOTIFY: Statement = Statement {
    label: "notify",
    template: "
SELECT set_config('synchronous_commit', 'off', true), pg_notify('{p}changes', convert_from(decode(u.payload, 'hex'), 'UTF8'))
FROM unnest({payloads}) AS u(payload)",
    parts: &[],
    arguments: &[("payloads", "text[]")],
};

/// What is waiting to be announced.
#[derive(Clone, Debug)]
pub(super) struct Announcer(Option<mpsc::UnboundedSender<Change>>);

impl Announcer {
    pub(super) const SILENT: Self = Self(None);

    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Change>) {
        let (sender, waiting) = mpsc::unbounded_channel();
        (Self(Some(sender)), waiting)
    }

    pub(super) fn tell(&self, change: Change) {
        if let Some(sender) = &self.0 {
            let _stopped = sender.send(change);
        }
    }
}

/// Announces what comes until nothing can come any more. `name` tells this store from others.
pub(super) async fn announce(database: Arc<Database>, name: String, mut waiting: mpsc::UnboundedReceiver<Change>) {
    let mut changes = Vec::new();
    while waiting.recv_many(&mut changes, AT_ONCE).await > 0 {
        let words: BTreeSet<_> = changes.drain(..).map(word).collect();
        let words: Vec<_> = words.into_iter().collect();
        let payloads = words.chunks(IN_PAYLOAD).map(|words| Some(format!("{name} {}", words.join(" "))));
        if let Err(error) = database.often(Way::Plain, &NOTIFY, &[&hex(payloads)]).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "changes were not announced");
        }
    }
}

/// Tells the listener what others announce, for ever.
pub(super) async fn listen(options: PgConnectOptions, prefix: String, name: String, listener: Listener) {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(RETRY.1).connect_lazy_with(sound(options));
    let channel = format!("{prefix}changes");
    let mut pause = RETRY.0;
    loop {
        if let Ok(Ok(heard)) = timeout(RETRY.1, connect(&pool, &channel)).await {
            pause = RETRY.0;
            // Whatever changed while nobody listened.
            listener(Change::Anything);
            hear(heard, &name, &listener).await;
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY.1);
    }
}

async fn connect(pool: &PgPool, channel: &str) -> Result<PgListener, sqlx::Error> {
    let mut heard = PgListener::connect_with(pool).await?;
    heard.eager_reconnect(false);
    heard.listen(channel).await?;
    Ok(heard)
}

async fn hear(mut heard: PgListener, name: &str, listener: &Listener) {
    while let Ok(Some(notification)) = heard.try_recv().await {
        let mut words = notification.payload().split(' ');
        if words.next().is_some_and(|from| from != name) {
            words.filter_map(change).for_each(|change| listener(change));
        }
    }
}

fn word(change: Change) -> String {
    match change {
        Change::Operation(id) => id.to_string(),
        Change::Queued => "q".to_owned(),
        Change::Anything => "a".to_owned(),
    }
}

fn change(word: &str) -> Option<Change> {
    match word {
        "q" => Some(Change::Queued),
        "a" => Some(Change::Anything),
        id => id.parse::<OperationId>().ok().map(Change::Operation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_out_of_their_words_again() {
        for told in [Change::Queued, Change::Anything, Change::Operation(OperationId::random())] {
            assert_eq!(change(&word(told)), Some(told));
        }
        assert_eq!(change("nonsense"), None);
    }

    #[test]
    fn a_payload_is_short_enough() {
        assert!(64 + IN_PAYLOAD * (OperationId::random().to_string().len() + 1) < 8_000);
    }
}
