//! A client that asks for the state of its operation, beside a bare look at a row.

use std::time::Instant;

use tokio::task::JoinSet;

use crate::{
    Scale,
    bare::Bare,
    ours::{Application, Mode},
    place::Engine,
    report::{nanoseconds, title, told},
    servers::Servers,
    statistics::{median, ratio},
};

/// So many ask at a time.
const CLIENTS: usize = 64;

pub(crate) async fn measure(servers: &Servers, scale: Scale) {
    title("A status poll, beside a bare look at a row over one connection");
    for engine in Engine::ALL {
        let place = servers.place(engine).await;
        let application = std::sync::Arc::new(Application::start(&place, Mode::Detached).await);
        let mut bare = Bare::of(servers, &place).await;
        let location = application.submit().await;
        application.reply(&location).await;
        let (mut ours, mut theirs, mut together) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..scale.singles * 2 {
            ours.push(timed(application.poll(&location)).await);
            theirs.push(timed(bare.look()).await);
        }
        for _ in 0..scale.rounds {
            let mut clients = JoinSet::new();
            let began = Instant::now();
            for _ in 0..CLIENTS {
                let (application, location) = (std::sync::Arc::clone(&application), location.clone());
                clients.spawn(async move {
                    for _ in 0..scale.singles {
                        application.poll(&location).await;
                    }
                });
            }
            while let Some(client) = clients.join_next().await {
                client.unwrap();
            }
            together.push(began.elapsed().as_nanos() as f64 / (scale.singles * CLIENTS) as f64);
        }
        let more = ratio(&ours, &theirs);
        let (ours, theirs, together) = (median(ours), median(theirs), median(together));
        let figure = format!("{}, alone, beside {}", engine.name(), Bare::look_name(engine));
        told(&figure, &nanoseconds(ours), &nanoseconds(theirs), Some(more));
        let figure = format!("{}, each of those of {CLIENTS} at a time", engine.name());
        told(&figure, &nanoseconds(together), &nanoseconds(theirs), Some(together / theirs));
    }
}

async fn timed(work: impl Future<Output = ()>) -> f64 {
    let began = Instant::now();
    work.await;
    began.elapsed().as_nanos() as f64
}
