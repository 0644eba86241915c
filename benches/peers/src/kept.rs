//! What a finished operation takes in the store beyond its reply, by the engine's own statistics.

use crate::{
    Scale,
    apalis::until,
    burst::CLIENTS,
    ours::{Application, Mode},
    place::Engine,
    report::{Bar, judged, title, told},
    servers::Servers,
};

/// What the handler replies.
const REPLY: usize = "done".len();

pub(crate) async fn measure(servers: &Servers, scale: Scale) {
    title("Bytes for a finished operation beyond its reply, indexes with them");
    for (engine, most) in [(Engine::Postgres, 300), (Engine::Redis, 200), (Engine::Sqlite, 300)] {
        for mode in [Mode::Detached, Mode::ByWorker] {
            let place = servers.place(engine).await;
            let application = Application::start(&place, mode).await;
            let before = place.bytes().await;
            application.submit_all(scale.operations, CLIENTS).await;
            until(|| async { place.ended().await > scale.operations }).await;
            let bytes = (place.bytes().await - before) as f64 / scale.operations as f64 - REPLY as f64;
            let figure = format!("{}, {}", engine.name(), mode.name());
            let bar = Bar::AtMost(1.0);
            judged(&figure, &format!("{bytes:.0}"), &most.to_string(), bytes / f64::from(most), bar);
            if let Engine::Postgres = engine {
                let live = place.number("SELECT pg_total_relation_size('{p}live')").await;
                let each = live as f64 / scale.operations as f64;
                told("  its table of what runs, until it is vacuumed", &format!("{each:.0}"), "", None);
            }
            application.stop().await;
        }
    }
}
