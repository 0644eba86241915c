//! Replicas that die at the worst moments, each at its own: right before and right after they ask something of the
//! store.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    Outcome, Scene,
    answers::Answers,
    client::Http,
    course::Load,
    engine::Engine,
    ledger::{ABORTED, Ledger, now},
    load::{Asker, Front},
    order::Order,
    replica::{End, Replica},
    verdict::judge,
};

/// What is asked, and the how manieth time it is the last: late enough for there to be something to lose.
const POINTS: [(&str, usize); 8] = [
    ("create", 1),
    ("create", 2),
    ("finish", 1),
    ("claim", 2),
    ("claim", 3),
    ("renew", 3),
    ("sweep", 1),
    // When it is told to end.
    ("close_lease", 1),
];

/// Long enough for a replica to come to every point but the last.
const LIFE: Duration = Duration::from_secs(10);

/// As long as it may take until one has died that was told to end.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn die_at_each(Scene { store, program, folder, mut dice }: Scene) -> Outcome {
    let engine = Engine::start(&store, &folder);
    let link = engine.link().await;
    let location = engine.location(link.as_ref());
    let (answers, http, ledger) = (Arc::new(Answers::default()), Http::new(), Ledger::default());
    let begun = now();
    let mut survivors = ["api", "worker"].map(|role| Replica::new(&program, role, role, &location, &folder));
    for replica in &mut survivors {
        replica.start(None);
        replica.until_it_answers(&http).await;
    }
    let mut doomed = Vec::new();
    for when in ["before", "after"] {
        for (method, number) in POINTS {
            let name = format!("{when}-{method}:{number}");
            let mut replica = Replica::new(&program, &name, "both", &location, &folder);
            replica.start(Some(&name));
            sleep(Duration::from_millis(50)).await;
            doomed.push(replica);
        }
    }
    let asker = Asker::new(http.clone(), Arc::clone(&answers), &folder.join("accepted"));
    let mut asking = JoinSet::new();
    for number in 0..4 * doomed.len() {
        let at = &doomed[number % doomed.len()];
        let at = if number < 3 * doomed.len() { at } else { &survivors[0] };
        let front = Front { name: at.name.clone(), port: at.port };
        let (order, mut dice) = (Order::new(number, Load::Light, &mut dice), dice.split());
        let asker = asker.clone();
        asking.spawn(async move { asker.see_through(order, &[front], &mut dice).await });
    }
    while asking.join_next().await.is_some() {}
    let until = Instant::now() + LIFE;
    for mut replica in doomed {
        if !has_died(&mut replica, until).await {
            answers.violation(format!("{}: was not reached", replica.name));
        }
        ledger.note(ABORTED, Some(&replica.name), begun);
    }
    let (ports, faults) = (survivors.each_ref().map(|replica| replica.port), ledger.faults());
    let verdict = judge(&http, &answers, &ports, &faults, &folder).await;
    Outcome { answers, verdict, faults }
}

/// Whether it dies where it should. It is told to end once it has lived for long enough to come to any other point.
async fn has_died(replica: &mut Replica, until: Instant) -> bool {
    let (mut told, patience) = (false, until + PATIENCE);
    loop {
        match replica.ended() {
            Some(end) => return end == End::Aborted,
            None if Instant::now() >= patience => return false,
            None if Instant::now() >= until && !told => {
                replica.signal("-TERM");
                told = true;
            }
            None => sleep(Duration::from_millis(50)).await,
        }
    }
}
