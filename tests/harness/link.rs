//! What lies between a replica and its store: a line that can be slow, cut, closed by half, deaf or dead.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    time::sleep,
};

/// Where the store itself listens.
#[derive(Clone, Debug)]
pub(crate) enum Upstream {
    Port(u16),
    Socket(PathBuf),
}

/// How the line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Weather {
    #[default]
    Fair,
    /// Everything arrives so much later.
    Slow(Duration),
    /// Nothing goes through, and nobody is told.
    Dead,
    /// What is asked arrives; what is answered does not, until the line is cut.
    Deaf,
    /// Whoever connects is cut off.
    Refusing,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    weather: Weather,
    cuts: usize,
    half_closings: usize,
}

/// A line of its own for one replica. It ends with this.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
}

impl Link {
    pub(crate) async fn to(upstream: Upstream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, seen) = watch::channel(State::default());
        tokio::spawn(async move {
            while let Ok((replica, _)) = listener.accept().await {
                tokio::spawn(connect(replica, upstream.clone(), seen.clone()));
            }
        });
        Self { address, state }
    }

    pub(crate) fn turn(&self, weather: Weather) {
        self.state.send_modify(|state| state.weather = weather);
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Has the store see the end of what is asked, while its answers still arrive.
    pub(crate) fn close_half(&self) {
        self.state.send_modify(|state| state.half_closings += 1);
    }
}

async fn connect(replica: TcpStream, upstream: Upstream, seen: watch::Receiver<State>) {
    if seen.borrow().weather == Weather::Refusing {
        return;
    }
    let _without_delay = replica.set_nodelay(true);
    match upstream {
        Upstream::Port(port) => {
            let Ok(store) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            let _without_delay = store.set_nodelay(true);
            pass_on(replica, store, seen).await;
        }
        Upstream::Socket(path) => {
            let Ok(store) = UnixStream::connect(path).await else { return };
            pass_on(replica, store, seen).await;
        }
    }
}

/// The connection has come to its end, in both directions.
struct Ended;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Questions,
    Answers,
}

async fn pass_on(replica: TcpStream, store: impl AsyncRead + AsyncWrite, seen: watch::Receiver<State>) {
    let (from_replica, to_replica) = tokio::io::split(replica);
    let (from_store, to_store) = tokio::io::split(store);
    let questions = pump(from_replica, to_store, Direction::Questions, seen.clone());
    let answers = pump(from_store, to_replica, Direction::Answers, seen);
    let _ended = tokio::try_join!(questions, answers);
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    mut seen: watch::Receiver<State>,
) -> Result<(), Ended> {
    let first = *seen.borrow_and_update();
    let mut swallowed = false;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        tokio::select! {
            biased;
            changed = seen.changed() => {
                changed.map_err(|_| Ended)?;
                let now = *seen.borrow_and_update();
                let is_cut = now.cuts != first.cuts || now.weather == Weather::Refusing;
                if is_cut || swallowed && now.weather != Weather::Deaf {
                    return Err(Ended);
                }
                if direction == Direction::Questions && now.half_closings != first.half_closings {
                    return to.shutdown().await.map_err(|_| Ended);
                }
            }
            read = from.read(&mut buffer), if seen.borrow().weather != Weather::Dead => {
                let count = read.map_err(|_| Ended)?;
                let weather = seen.borrow().weather;
                if let Weather::Slow(delay) = weather {
                    sleep(delay).await;
                }
                if count == 0 {
                    return to.shutdown().await.map_err(|_| Ended);
                }
                if direction == Direction::Answers && weather == Weather::Deaf {
                    swallowed = true;
                } else {
                    to.write_all(&buffer[..count]).await.map_err(|_| Ended)?;
                }
            }
        }
    }
}
