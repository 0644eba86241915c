//! What others change is announced by `NOTIFY`: a hint that makes it quicker. As notifications put all commits of the
//! server in one line, they are not sent by the transactions that they tell of, which wait for the disk, but by others
//! that do not: behind what is written most often, in the same message; or else by themselves, all of some milliseconds
//! at once.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::database::{Database, Way, sound};
use crate::{
    operation::OperationId,
    store::{
        contract::{Change, Listener},
        engine::Engine,
    },
};

/// A payload holds at most 8,000 bytes.
const IN_PAYLOAD: usize = 200;

/// How long what is to be announced waits for a message that is sent anyway, and for more like it.
const GATHERED: Duration = Duration::from_millis(10);

/// How long it takes at first, and at most, until an interrupted listener tries again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Tells others of changes.
#[derive(Clone, Debug)]
pub(super) struct Announcer(Option<Announcing>);

#[derive(Clone, Debug)]
struct Announcing {
    waiting: Arc<Waiting>,
    /// Says that something waits.
    some: mpsc::Sender<()>,
}

/// What is to be announced, and as what.
#[derive(Debug)]
struct Waiting {
    /// Tells this store from others.
    name: String,
    channel: String,
    words: Mutex<BTreeSet<String>>,
}

/// What is announced together.
#[derive(Debug, Default)]
pub(super) struct Announcement {
    words: BTreeSet<String>,
    statement: Option<String>,
}

impl Announcement {
    /// How a write travels that this goes behind.
    pub(super) fn way(&self) -> Way<'_> {
        self.statement.as_deref().map_or(Way::Plain, Way::Announcing)
    }
}

impl Announcer {
    pub(super) const SILENT: Self = Self(None);

    /// Announces what it is told until it is dropped.
    pub(super) fn start(engine: &Engine, database: &Arc<Database>, name: &str) -> Self {
        let (some, told) = mpsc::channel(1);
        let waiting = Arc::new(Waiting::new(name, channel(&database.prefix)));
        engine.spawn(announce(Arc::clone(database), Arc::clone(&waiting), told));
        Self(Some(Announcing { waiting, some }))
    }

    /// What has changed is announced soon.
    pub(super) fn tell(&self, change: Change) {
        if let Some(announcing) = &self.0 {
            announcing.wait([word(change)]);
        }
    }

    /// What is to go behind a write that changes this: word of it, and of what has been waiting.
    pub(super) fn take(&self, changes: impl IntoIterator<Item = Change>) -> Announcement {
        let Some(Announcing { waiting, .. }) = &self.0 else { return Announcement::default() };
        let mut words = waiting.take();
        words.extend(changes.into_iter().map(word));
        let statement = waiting.notify(&words);
        Announcement { words, statement }
    }

    /// It did not go, or so it seems: it waits for another.
    pub(super) fn put_back(&self, announcement: Announcement) {
        if let Some(announcing) = &self.0 {
            announcing.wait(announcement.words);
        }
    }
}

impl Announcing {
    fn wait(&self, words: impl IntoIterator<Item = String>) {
        self.waiting.lock().extend(words);
        let _told_already = self.some.try_send(());
    }
}

async fn announce(database: Arc<Database>, waiting: Arc<Waiting>, mut some: mpsc::Receiver<()>) {
    while some.recv().await.is_some() {
        sleep(GATHERED).await;
        if let Some(statement) = waiting.notify(&waiting.take())
            && let Err(error) = database.rows(&statement, &[]).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "changes were not announced");
        }
    }
}

impl Waiting {
    fn new(name: &str, channel: String) -> Self {
        Self { name: name.to_owned(), channel, words: Mutex::default() }
    }

    fn take(&self) -> BTreeSet<String> {
        mem::take(&mut *self.lock())
    }

    /// The statement that announces these, where there are any. Nothing of its transaction is to be kept, so nobody need
    /// wait for the disk, nor for long for those who notify and do wait for it. In what is written there is no quote.
    fn notify(&self, words: &BTreeSet<String>) -> Option<String> {
        let Self { name, channel, .. } = self;
        let mut statement =
            "SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '100ms', true)"
                .to_owned();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        for words in words.chunks(IN_PAYLOAD) {
            statement += &format!(", pg_notify('{channel}', '{name} {}')", words.join(" "));
        }
        (!words.is_empty()).then_some(statement)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn channel(prefix: &str) -> String {
    format!("{prefix}changes")
}

/// Tells the listener what others announce, for ever.
pub(super) async fn listen(options: PgConnectOptions, prefix: String, name: String, listener: Listener) {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(RETRY.1).connect_lazy_with(sound(options));
    let channel = channel(&prefix);
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

    #[test]
    fn what_did_not_go_with_one_write_goes_with_the_next() {
        let (some, mut told) = mpsc::channel(1);
        let waiting = Arc::new(Waiting::new("one", "changes".into()));
        let announcer = Announcer(Some(Announcing { waiting, some }));
        announcer.tell(Change::Queued);
        assert_eq!(told.try_recv(), Ok(()));
        announcer.put_back(announcer.take([Change::Anything]));
        assert_eq!(told.try_recv(), Ok(()));
        let announcement = announcer.take(None);
        assert!(
            matches!(announcement.way(), Way::Announcing(text) if text.ends_with("pg_notify('changes', 'one a q')"))
        );
        assert!(matches!(announcer.take(None).way(), Way::Plain));
    }
}
