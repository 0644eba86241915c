//! A store that goes away and comes back: nothing is lost, nothing is denied, and clients are told when to ask again.

use std::{fs, path::PathBuf};

use http::Method;
use tokio::time::{Duration, Instant};
use tower_respond_async::Execution;

use crate::{
    client::Received,
    engines::{Place, on_every_shared_store},
    postgres::Server as Postgres,
    redis::Server as Redis,
    stage::{Replica, Stage, builder, durable, eventually, impatient, patient},
};

on_every_shared_store! {
    an_outage_costs_nothing
    what_has_a_key_is_turned_away_while_the_store_is
    who_waits_for_the_end_waits_on_while_the_store_is_away
}

// What is between a replica and its store is the same for all of them.
crate::engines::on!([frozen = Memory] {
    a_store_that_never_answers_is_not_waited_for
    no_more_is_risked_than_can_be_taken_back
    a_store_that_has_fallen_silent_is_not_asked
});

/// What takes a store away and brings it back.
trait Outage {
    fn begin(&mut self);
    fn end(&mut self);
}

/// The way to the store alone.
struct Way<'a>(&'a Replica);

impl Outage for Way<'_> {
    fn begin(&mut self) {
        self.0.tap.away(true);
    }

    fn end(&mut self) {
        self.0.tap.away(false);
    }
}

#[track_caller]
fn assert_unavailable(answer: &Received) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.json()["type"].as_str().unwrap().ends_with("#unavailable"));
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
}

async fn an_outage_costs_nothing(stage: &Stage) {
    let replica = stage.replica(impatient()).await;
    let durable = stage.replica(durable()).await;
    through(stage, &replica, &durable, [Box::new(Way(&replica)), Box::new(Way(&durable))]).await;
}

async fn through<const N: usize>(
    stage: &Stage,
    replica: &Replica,
    durable: &Replica,
    mut outages: [Box<dyn Outage + '_>; N],
) {
    let location = replica.detached("/jobs").await;
    let lasting = durable.detached("/jobs").await;
    stage.work.running(2).await;
    outages.iter_mut().for_each(|outage| outage.begin());

    for (replica, location) in [(replica, &location), (durable, &lasting)] {
        assert_unavailable(&replica.get(location).await);
        assert_unavailable(&replica.get(&format!("{location}/status")).await);
        assert_unavailable(&replica.get(&format!("{location}/result")).await);
        assert_unavailable(&replica.get(&format!("{location}/events")).await);
        assert_unavailable(&replica.delete(location).await);
    }
    // In line, as without the layer.
    assert_eq!(replica.post("/quick", &[], "body").await.status, 200);
    assert_eq!(durable.post("/quick", &[], "body").await.status, 200);
    let mut in_line = replica.begin(Method::POST, "/jobs", &[], b"body").await;
    stage.work.running(3).await;
    in_line.silent().await;
    // What was to survive this process is not left to it alone.
    assert_unavailable(&durable.post("/jobs", &[], "body").await);
    stage.work.running(3).await;

    stage.work.go_all();
    assert_eq!(in_line.response().await.status, 200);
    stage.work.running(0).await;
    outages.iter_mut().for_each(|outage| outage.end());
    let back = Instant::now();
    for (replica, location) in [(replica, &location), (durable, &lasting)] {
        let reply = eventually(async || {
            let reply = replica.get(&format!("{location}/result")).await;
            if reply.status == 200 { Ok(reply) } else { Err(reply) }
        })
        .await;
        assert_eq!(reply.header("x-many"), "one");
    }
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
    // And all goes on as before.
    for replica in [replica, durable] {
        let location = eventually(async || {
            let answer = replica.post("/naps", &[], "body").await;
            if answer.status == 202 { Ok(answer.location().to_owned()) } else { Err(answer) }
        })
        .await;
        assert_eq!(replica.result(&location).await.text(), "body");
    }
}

async fn who_waits_for_the_end_waits_on_while_the_store_is_away(stage: &Stage) {
    let replica = stage.replica(patient()).await;
    let mut waiting = replica.begin(Method::POST, "/jobs", &[("idempotency-key", "\"k\"")], b"body").await;
    stage.work.running(1).await;
    replica.tap.away(true);
    let reads = replica.tap.reads();
    eventually(async || (replica.tap.reads() > reads + 1).then_some(()).ok_or("it does not look")).await;
    replica.tap.away(false);
    stage.work.go_all();
    let reply = waiting.response().await;
    assert_eq!((reply.status.as_u16(), reply.header("x-call")), (200, "1"));
}

async fn what_has_a_key_is_turned_away_while_the_store_is(stage: &Stage) {
    let replica = stage.replica(patient()).await;
    let durable = stage.replica(patient().execution(Execution::Durable)).await;
    replica.tap.away(true);
    durable.tap.away(true);
    let key = &[("idempotency-key", "\"k\"")];
    assert_unavailable(&replica.post("/quick", key, "body").await);
    assert_unavailable(&durable.post("/quick", key, "body").await);
    assert_eq!(stage.work.calls(), 0);
    replica.tap.away(false);
    eventually(async || {
        let answer = replica.post("/quick", key, "body").await;
        if answer.status == 200 { Ok(()) } else { Err(answer.status) }
    })
    .await;
    assert_eq!(replica.post("/quick", key, "body").await.header("x-call"), "1");
    assert_eq!(stage.work.calls(), 1);
}

impl Outage for Postgres {
    fn begin(&mut self) {
        self.control("stop");
    }

    fn end(&mut self) {
        self.control("start");
    }
}

impl Outage for Redis {
    fn begin(&mut self) {
        self.kill();
    }

    fn end(&mut self) {
        self.restart();
    }
}

/// A file that somebody moves.
struct Moved(PathBuf);

impl Outage for Moved {
    fn begin(&mut self) {
        fs::rename(&self.0, self.0.with_extension("aside")).unwrap();
    }

    fn end(&mut self) {
        fs::rename(self.0.with_extension("aside"), &self.0).unwrap();
    }
}

async fn of_a_server(place: Place, server: impl Outage) {
    let stage = Stage::at(place);
    let (replica, durable) = (stage.replica(impatient()).await, stage.replica(durable()).await);
    through(&stage, &replica, &durable, [Box::new(server)]).await;
}

async fn a_store_that_never_answers_is_not_waited_for(stage: &Stage) {
    let (replica, durable) = (stage.replica(impatient()).await, stage.replica(durable()).await);
    let location = replica.detached("/jobs").await;
    replica.tap.freeze(true);
    durable.tap.freeze(true);
    let status = format!("{location}/status");
    let result = format!("{location}/result");
    let (mine, reads) = ([("x-user", "ann")], [location.as_str(), &status, &result]);
    let ask = async |path: &str| assert_unavailable(&replica.ask(Method::GET, path, &[]).await);
    tokio::join!(
        ask(reads[0]),
        ask(reads[1]),
        ask(reads[2]),
        async { assert_unavailable(&replica.ask(Method::GET, "/operations", &mine).await) },
        async { assert_unavailable(&replica.delete(&location).await) },
        async { assert_unavailable(&replica.post("/jobs", &[("idempotency-key", "\"k\"")], "body").await) },
        async { assert_unavailable(&durable.post("/jobs", &[], "body").await) },
        // In line, as without the layer.
        async { assert_eq!(replica.post("/naps", &[], "body").await.status, 200) },
    );
    replica.tap.freeze(false);
    eventually(async || {
        let answer = replica.post("/naps", &[], "body").await;
        if answer.status == 202 { Ok(()) } else { Err(answer) }
    })
    .await;
}

async fn no_more_is_risked_than_can_be_taken_back(stage: &Stage) {
    const MOST: usize = 1_024;
    let builder = || builder().lease(Duration::from_secs(3_600));
    for builder in [builder().only_accepts(true), builder()] {
        let replica = stage.replica_of(builder, durable().budget(Duration::ZERO)).await;
        replica.tap.away(true);
        for _ in 0..2 * MOST {
            assert_eq!(replica.call("/jobs").await, 503);
        }
        assert_eq!(replica.tap.creations(), MOST);
        replica.tap.away(false);
        eventually(async || match replica.call("/jobs").await {
            202 => Ok(()),
            status => Err(status),
        })
        .await;
    }
}

async fn a_store_that_has_fallen_silent_is_not_asked(stage: &Stage) {
    for builder in [builder().only_accepts(true), builder()] {
        let replica = stage.replica_of(builder, durable().budget(Duration::ZERO)).await;
        replica.tap.away(true);
        eventually(async || {
            let creations = replica.tap.creations();
            assert_eq!(replica.call("/jobs").await, 503);
            if replica.tap.creations() == creations { Ok(()) } else { Err(creations) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_postgresql_server() {
    let server = Postgres::start();
    of_a_server(Place::in_postgres(&server).await, server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_redis_server() {
    let server = Redis::start(&[]);
    of_a_server(Place::in_redis(&server), server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_file() {
    let place = crate::engines::Engine::Sqlite.place().await;
    let Place::Sqlite(folder) = &place else { unreachable!() };
    let file = folder.file();
    of_a_server(place, Moved(file)).await;
}
