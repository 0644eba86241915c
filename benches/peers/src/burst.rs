//! A burst of trivial operations, from the first submission to the last reply in the store.

use std::time::Instant;

use crate::{
    Scale,
    apalis::{self, Fetch, until},
    ours::{Application, Mode},
    place::{Engine, Place},
    report::{Bar, judged, title, told},
    servers::Servers,
    statistics::{median, ratio},
};

/// So many submit at a time.
pub(crate) const CLIENTS: usize = 256;

pub(crate) async fn measure(servers: &Servers, scale: Scale) {
    let mut times: Vec<[Vec<f64>; 3]> = Engine::ALL.iter().map(|_| Default::default()).collect();
    let mut peers: [[Vec<f64>; 2]; 2] = Default::default();
    for _ in 0..scale.rounds {
        for (fetch, peers) in [Fetch::PLAIN, Fetch::MANY].into_iter().zip(&mut peers) {
            peers[0].push(apalis::postgres(servers, scale.operations, CLIENTS, fetch).await);
            peers[1].push(apalis::redis(servers, scale.operations, CLIENTS, fetch).await);
        }
        for (engine, times) in Engine::ALL.into_iter().zip(&mut times) {
            for (mode, times) in Mode::ALL.into_iter().zip(times) {
                let place = servers.place(engine).await;
                times.push(of(&place, mode, scale.operations).await);
            }
        }
    }
    let rate = |times: &[f64]| format!("{:.0}/s", scale.operations as f64 / median(times.iter().copied()));
    title(&format!(
        "A burst of {} operations, submitted by {CLIENTS}, beside apalis over the same server",
        scale.operations
    ));
    for (of, name, bars) in [(0, Engine::Postgres, [6.0, 3.0, 3.0]), (1, Engine::Redis, [4.0, 2.5, 2.5])] {
        let ours = &times[Engine::ALL.iter().position(|engine| *engine == name).unwrap()];
        for ((mode, ours), bar) in Mode::ALL.into_iter().zip(ours).zip(bars) {
            let figure = format!("{}, {}", name.name(), mode.name());
            let plain = &peers[0][of];
            judged(&figure, &rate(ours), &rate(plain), ratio(plain, ours), Bar::AtLeast(bar));
            let many = &peers[1][of];
            told("  beside apalis that fetches 256 at a time", &rate(ours), &rate(many), Some(ratio(many, ours)));
        }
    }
    title("The same in SQLite, synchronous=FULL, beside PostgreSQL on the same disk");
    for (number, mode) in Mode::ALL.into_iter().enumerate() {
        let (sqlite, postgres) = (&times[2][number], &times[0][number]);
        judged(mode.name(), &rate(sqlite), &rate(postgres), ratio(postgres, sqlite), Bar::AtLeast(1.0));
    }
}

async fn of(place: &Place, mode: Mode, operations: usize) -> f64 {
    let application = Application::start(place, mode).await;
    let began = Instant::now();
    application.submit_all(operations, CLIENTS).await;
    // One more has been before, for the lease.
    until(|| async { application.handled() > operations }).await;
    until(|| async { place.ended().await > operations }).await;
    let took = began.elapsed().as_secs_f64();
    application.stop().await;
    took
}
