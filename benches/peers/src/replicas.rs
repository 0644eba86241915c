//! A burst that two replicas share, beside one alone.

use std::time::Instant;

use crate::{
    Scale,
    apalis::until,
    burst::CLIENTS,
    ours::{Application, Mode},
    place::{Engine, Place},
    report::{title, told},
    servers::Servers,
    statistics::{median, ratio},
};

pub(crate) async fn measure(servers: &Servers, scale: Scale) {
    title(&format!(
        "A burst of {} operations: two replicas beside one, and the server, on this machine",
        scale.operations
    ));
    for engine in Engine::ALL {
        for mode in Mode::ALL {
            let mut times: [Vec<f64>; 2] = Default::default();
            for _ in 0..scale.rounds {
                for (replicas, times) in times.iter_mut().enumerate() {
                    let place = servers.place(engine).await;
                    times.push(of(&place, mode, scale.operations, replicas + 1).await);
                }
            }
            let rate = |times: &[f64]| format!("{:.0}/s", scale.operations as f64 / median(times.iter().copied()));
            let [one, two] = times;
            told(&format!("{}, {}", engine.name(), mode.name()), &rate(&two), &rate(&one), Some(ratio(&one, &two)));
        }
    }
}

async fn of(place: &Place, mode: Mode, operations: usize, replicas: usize) -> f64 {
    let mut applications = Vec::new();
    for _ in 0..replicas {
        applications.push(Application::start(place, mode).await);
    }
    let began = Instant::now();
    let share = operations / replicas;
    let submitted = applications.iter().map(|application| application.submit_all(share, CLIENTS / replicas));
    futures::future::join_all(submitted).await;
    let handled = || applications.iter().map(Application::handled).sum::<usize>();
    until(|| async { handled() >= share * replicas + replicas }).await;
    until(|| async { place.ended().await >= share * replicas + replicas }).await;
    let took = began.elapsed().as_secs_f64();
    for application in applications {
        application.stop().await;
    }
    took
}
