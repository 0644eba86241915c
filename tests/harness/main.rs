//! Three replicas of the example `replicas` with one store, clients that ask them for work, and an adversary who kills
//! and freezes the replicas, kills the store, and cuts, slows and deafens the lines between them. In the end every
//! `202` that was sent has exactly one reply, and the right one.
//!
//! Each store is tried for half a minute, of which the first seconds are calm. These variables change that:
//!
//! | variable | |
//! |---|---|
//! | `RESPOND_ASYNC_HARNESS_LONG` | `1` for a long run: not for a time, but until 100,000 operations were accepted and replicas were killed 300 times; `0.1` for a tenth of that |
//! | `RESPOND_ASYNC_HARNESS_SECONDS` | how long things go wrong in a short run; 25 unless told otherwise |
//! | `RESPOND_ASYNC_HARNESS_SEED` | what the adversary's dice begin with; new each time unless told otherwise |
//! | `RESPOND_ASYNC_HARNESS_STORE` | `sqlite`, `postgres` or `redis`, to try it alone |
//!
//! A long run takes a quarter of an hour for each store:
//!
//! ```console
//! $ RESPOND_ASYNC_HARNESS_LONG=1 cargo test --release --all-features --test harness every_202 -- --nocapture
//! ```
//!
//! With the same seed the same faults are tried in the same order; what they hit is up to the machine. Where something
//! is wrong, the folder is kept that has the replicas' logs, the journal of all runs, the list of what was accepted and
//! that of the faults.
//!
//! No work may be done again for no reason: the replicas write down when they begin what and when they end it, and of
//! each run that is followed by another a fault must have hit the replica that ran it while it did, or within the
//! second before or after, when it was claimed and had not begun, or had ended and was not stored. Faults that keep a
//! lease from being renewed count for the length of that lease. How many executions were second ones, and how many were
//! hit while they ran, is printed.

#![cfg(all(unix, feature = "sqlite", feature = "postgres", feature = "redis"))]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "so that a test says where it failed")]

mod adversary;
mod answers;
mod client;
mod course;
mod dice;
mod engine;
mod journal;
mod ledger;
mod link;
mod load;
mod order;
mod points;
#[path = "../support/postgres.rs"]
mod postgres;
#[allow(dead_code)] // It answers to the gateway's tests as well.
#[path = "../support/program.rs"]
mod program;
#[allow(dead_code)] // It is stopped and resumed in the tests of the store itself.
#[path = "../stores/redis/server.rs"]
mod redis;
mod replica;
mod verdict;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    adversary::{Stage, make_peace, supervise, trouble_replicas, trouble_store},
    answers::Answers,
    client::Http,
    course::Course,
    dice::Dice,
    engine::Engine,
    ledger::{Fault, Ledger, counted, now},
    load::{Asker, Front, ask, watch},
    replica::{ROLES, Replica},
    verdict::{Verdict, judge},
};

/// Nothing goes wrong until then.
const CALM: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn every_202_is_kept_in_sqlite() {
    try_out("sqlite", play).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_202_is_kept_in_postgres() {
    try_out("postgres", play).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_202_is_kept_in_redis() {
    try_out("redis", play).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_moment_to_die_is_the_wrong_one_in_sqlite() {
    try_out("sqlite", points::die_at_each).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_moment_to_die_is_the_wrong_one_in_postgres() {
    try_out("postgres", points::die_at_each).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_moment_to_die_is_the_wrong_one_in_redis() {
    try_out("redis", points::die_at_each).await;
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = env::var(format!("RESPOND_ASYNC_HARNESS_{name}")).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("RESPOND_ASYNC_HARNESS_{name}: {text}")))
}

/// Where to play, and with what.
struct Scene {
    store: String,
    program: PathBuf,
    folder: PathBuf,
    dice: Dice,
}

/// What came of it.
struct Outcome {
    answers: Arc<Answers>,
    verdict: Verdict,
    faults: Vec<Fault>,
}

async fn try_out(store: &str, play: impl AsyncFn(Scene) -> Outcome) {
    /// One at a time, so that a replica that is short of time was made so.
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    if setting::<String>("STORE").is_some_and(|only| only != store) {
        return;
    }
    let _turn = TURN.lock().await;
    let program = PROGRAM.get_or_init(|| program::build_example("replicas"));
    let seed = setting("SEED").unwrap_or_else(now);
    let folder = env::temp_dir().join(format!("respond-async-harness-{}-{store}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();

    let scene =
        Scene { store: store.to_owned(), program: program.clone(), folder: folder.clone(), dice: Dice::new(seed) };
    let begun = Instant::now();
    let Outcome { answers, verdict, faults } = play(scene).await;
    println!("{store}, seed {seed}, {:?}: faults: {:?}", begun.elapsed(), counted(&faults));
    println!(
        "{store}: {} operations accepted, {} requests answered in line, {} turned away, {} unanswered; of the accepted: \
         {:?}; {}",
        answers.accepted(),
        answers.in_line.load(Ordering::Relaxed),
        answers.turned_away.load(Ordering::Relaxed),
        answers.unanswered.load(Ordering::Relaxed),
        verdict.ends,
        verdict.executions,
    );
    fs::write(folder.join("faults"), format!("{faults:#?}")).unwrap();
    let violations = answers.violations.lock().unwrap();
    assert!(violations.is_empty(), "{store}, seed {seed}, see {}:\n{}", folder.display(), violations.join("\n"));
    fs::remove_dir_all(folder).unwrap();
}

async fn play(Scene { store, program, folder, mut dice }: Scene) -> Outcome {
    let course = Course::from_environment();
    let stage = Arc::new(set_up(&store, &program, &folder, course).await);
    let ports: Vec<_> = stage.replicas.iter().map(|replica| replica.lock().unwrap().port).collect();
    let (answers, http, over) = (Arc::new(Answers::default()), Http::new(), CancellationToken::new());

    let asker = Asker::new(http.clone(), Arc::clone(&answers), &folder.join("accepted"));
    let fronts = ROLES.iter().zip(&ports).take(2).map(|(name, port)| Front { name: (*name).to_owned(), port: *port });
    let asking = ask(asker, fronts.collect(), course.load, dice.split(), over.clone());
    let watching = watch(http.clone(), &answers, &ports, dice.split(), over.clone());
    let troubling = async {
        sleep(CALM).await;
        let replicas = tokio::spawn(trouble_replicas(Arc::clone(&stage), dice.split(), over.clone()));
        let store = tokio::spawn(trouble_store(Arc::clone(&stage), dice.split(), over.clone()));
        let supervising = tokio::spawn(supervise(Arc::clone(&stage), dice.split(), over.clone()));
        course.run(&answers, &stage.ledger, over.clone()).await;
        for troubling in [replicas, store, supervising] {
            troubling.await.unwrap();
        }
        make_peace(&stage).await;
    };
    tokio::join!(asking, watching, troubling);

    let (seen, faults) = (answers.seen_to_end(), stage.ledger.faults());
    println!("{store}: {seen} of {} were seen to end while things went wrong", answers.accepted());
    let verdict = judge(&http, &answers, &ports, &faults, &folder).await;
    Outcome { answers, verdict, faults }
}

/// Starts everything, and waits until every replica answers.
async fn set_up(store: &str, program: &Path, folder: &Path, course: Course) -> Stage {
    let engine = Engine::start(store, folder);
    let (mut replicas, mut links) = (Vec::new(), Vec::new());
    for role in ROLES {
        let link = engine.link().await;
        let mut replica = Replica::new(program, role, role, &engine.location(link.as_ref()), folder);
        replica.start(None);
        replica.until_it_answers(&Http::new()).await;
        links.extend(link);
        replicas.push(Mutex::new(replica));
    }
    Stage { replicas, links, engine: Mutex::new(engine), ledger: Ledger::default(), load: course.load }
}
