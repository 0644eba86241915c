//! One operation and no load: from its submission until its reply is seen, beside two bare commits; and how often the
//! store is asked for it.

use std::time::{Duration, Instant};

use crate::{
    Scale,
    bare::Bare,
    ours::{Application, Mode},
    place::{Engine, Place},
    report::{nanoseconds, title, told},
    servers::Servers,
    statistics::median,
};

pub(crate) async fn measure(servers: &Servers, scale: Scale) {
    title("One operation alone, until its reply is seen, beside two bare commits: at most 1 ms more");
    let mut asked = Vec::new();
    for engine in Engine::ALL {
        for mode in Mode::ALL {
            let place = servers.place(engine).await;
            let application = Application::start(&place, mode).await;
            let mut bare = Bare::of(servers, &place).await;
            let (mut ours, mut theirs, mut more) = (Vec::new(), Vec::new(), Vec::new());
            for number in 1..=i32::try_from(scale.singles).unwrap() {
                let began = Instant::now();
                application.reply(&application.submit().await).await;
                let one = nanos(began.elapsed());
                let began = Instant::now();
                bare.commit(2 * number).await;
                bare.commit(2 * number + 1).await;
                let two = nanos(began.elapsed());
                ours.push(one);
                theirs.push(two);
                more.push(one - two);
            }
            let more = median(more);
            let verdict = if more <= 1e6 { "reached" } else { "missed" };
            let figure = format!("{}, {}: {} more, {verdict}", engine.name(), mode.name(), nanoseconds(more));
            let (ours, theirs) = (median(ours), median(theirs));
            told(&figure, &nanoseconds(ours), &nanoseconds(theirs), Some(ours / theirs));
            application.stop().await;
            if engine != Engine::Sqlite {
                let figure = format!("{}, {}", engine.name(), mode.name());
                asked.push((figure, round_trips(&servers.counting(engine).await, mode, scale).await));
            }
        }
    }
    title("Round trips, or scripts, for one operation alone: its acceptance, its end, what is announced; bar: 2");
    for (figure, [idle, asked]) in asked {
        told(&figure, &format!("{asked:.2}"), &format!("idle {idle:.2}"), None);
    }
}

/// What is asked for each operation, and meanwhile for none at all.
async fn round_trips(place: &Place, mode: Mode, scale: Scale) -> [f64; 2] {
    let application = Application::start(place, mode).await;
    let operations = scale.singles.min(100);
    let before = place.round_trips().await;
    let began = Instant::now();
    for _ in 0..operations {
        let before = application.handled();
        application.submit().await;
        crate::apalis::until(|| async { application.handled() > before }).await;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let took = began.elapsed();
    let after = place.round_trips().await;
    tokio::time::sleep(took).await;
    let idle = place.round_trips().await;
    application.stop().await;
    let each = |asked: i64| asked as f64 / operations as f64;
    [each(idle - after), each(after - before)]
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}
