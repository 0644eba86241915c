//! Whoever makes things go wrong.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    course::Load,
    dice::Dice,
    engine::Engine,
    ledger::{ABORTED, KILLED, Ledger, now},
    link::{Link, Weather},
    replica::{End, ROLES, Replica},
};

/// Everything that can go wrong.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) replicas: Vec<Mutex<Replica>>,
    /// One for each replica, where there are any.
    pub(crate) links: Vec<Link>,
    pub(crate) engine: Mutex<Engine>,
    pub(crate) ledger: Ledger,
    pub(crate) load: Load,
}

/// What is asked of a store, before and after which a replica can die.
const METHODS: [&str; 9] =
    ["create", "finish", "claim", "renew", "retry", "hand_back", "sweep", "open_lease", "close_lease"];

/// Kills, freezes and ends replicas, one at a time.
pub(crate) async fn trouble_replicas(stage: Arc<Stage>, mut dice: Dice, over: CancellationToken) {
    while !over.is_cancelled() {
        let rest = match stage.load {
            Load::Light => dice.milliseconds(100, 800),
            Load::Heavy => dice.milliseconds(50, 300),
        };
        sleep(rest).await;
        let victim = dice.below(ROLES.len());
        let (replica, from) = (&stage.replicas[victim], now());
        let kind = match dice.below(8) {
            0..5 => {
                replica.lock().unwrap().kill();
                sleep(dice.milliseconds(0, 1_500)).await;
                replica.lock().unwrap().start(stage.point(&mut dice).as_deref());
                KILLED
            }
            5..7 => {
                replica.lock().unwrap().signal("-STOP");
                sleep(dice.milliseconds(500, 5_000)).await;
                replica.lock().unwrap().signal("-CONT");
                if stage.links.is_empty() {
                    stage.ledger.note("a frozen replica may have kept the file locked", None, from);
                }
                "frozen"
            }
            _ => {
                let ending = Arc::clone(&stage);
                let ended = tokio::task::spawn_blocking(move || ending.replicas[victim].lock().unwrap().end());
                ended.await.unwrap();
                replica.lock().unwrap().start(stage.point(&mut dice).as_deref());
                "told to end"
            }
        };
        stage.ledger.note(kind, Some(ROLES[victim]), from);
    }
}

/// Starts again what ends by itself.
pub(crate) async fn supervise(stage: Arc<Stage>, mut dice: Dice, over: CancellationToken) {
    while !over.is_cancelled() {
        let looked = now();
        sleep(Duration::from_millis(50)).await;
        for replica in &stage.replicas {
            // One that is told to end is started again by who told it.
            let Ok(mut replica) = replica.try_lock() else { continue };
            match replica.ended() {
                Some(End::Aborted) => {
                    replica.start(stage.point(&mut dice).as_deref());
                    stage.ledger.note(ABORTED, Some(&replica.name), looked);
                }
                Some(End::GaveUp) => replica.start(None),
                None => {}
            }
        }
    }
}

impl Stage {
    /// Where a replica ends by itself. Now and then nowhere.
    fn point(&self, dice: &mut Dice) -> Option<String> {
        let often = match self.load {
            Load::Light => 5,
            Load::Heavy => *dice.one_of(&[5, 50, 500]),
        };
        let (when, method) = (dice.one_of(&["before", "after"]), dice.one_of(&METHODS));
        let number = 1 + dice.below(often);
        (!dice.one_in(3)).then(|| format!("{when}-{method}:{number}"))
    }
}

/// Spoils the lines to the store, and kills the store itself; a file it locks.
pub(crate) async fn trouble_store(stage: Arc<Stage>, mut dice: Dice, over: CancellationToken) {
    while !over.is_cancelled() {
        if stage.links.is_empty() {
            sleep(dice.milliseconds(1_000, 6_000)).await;
            let from = now();
            stage.hold_file(&mut dice).await;
            stage.ledger.note("the file was locked", None, from);
            continue;
        }
        sleep(dice.milliseconds(50, 700)).await;
        let from = now();
        if dice.one_in(8) {
            stage.engine.lock().unwrap().kill();
            sleep(dice.milliseconds(0, 3_000)).await;
            let again = Arc::clone(&stage);
            tokio::task::spawn_blocking(move || again.engine.lock().unwrap().restart()).await.unwrap();
            stage.ledger.note("the store was killed", None, from);
            continue;
        }
        let victim = dice.below(ROLES.len());
        let kind = spoil(&stage.links[victim], &mut dice).await;
        stage.ledger.note(kind, Some(ROLES[victim]), from);
    }
}

impl Stage {
    /// Lets nobody write to the file for a while.
    async fn hold_file(&self, dice: &mut Dice) {
        let lock = self.engine.lock().unwrap().lock();
        let lock = lock.await;
        sleep(dice.milliseconds(100, 3_000)).await;
        drop(lock);
    }
}

async fn spoil(link: &Link, dice: &mut Dice) -> &'static str {
    let (kind, weather, length) = match dice.below(6) {
        0 => {
            link.cut();
            return "a line was cut";
        }
        1 => {
            link.close_half();
            return "a line was half closed";
        }
        2 => ("a line was slow", Weather::Slow(dice.milliseconds(20, 800)), dice.milliseconds(300, 3_000)),
        3 => ("a line was dead", Weather::Dead, dice.milliseconds(300, 4_000)),
        4 => ("a line swallowed answers", Weather::Deaf, dice.milliseconds(200, 3_000)),
        _ => ("a line was refused", Weather::Refusing, dice.milliseconds(300, 3_000)),
    };
    link.turn(weather);
    sleep(length).await;
    link.turn(Weather::Fair);
    kind
}

/// Ends all trouble: every replica runs, and ends by itself no more.
pub(crate) async fn make_peace(stage: &Stage) {
    for replica in &stage.replicas {
        let from = now();
        let mut replica = replica.lock().unwrap();
        replica.kill();
        replica.start(None);
        stage.ledger.note("killed in the end", Some(&replica.name), from);
    }
    // Some may have met a store that is not yet there.
    for _ in 0..20 {
        sleep(Duration::from_millis(100)).await;
        for replica in &stage.replicas {
            let mut replica = replica.lock().unwrap();
            if replica.ended().is_some() {
                replica.start(None);
            }
        }
    }
}
