//! Counts the round trips to a PostgreSQL server, on the way to it: whatever it was asked at once, it says once that it
//! is ready for more.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Its socket is that of another port.
const PORT: u16 = 5_433;

const READY_FOR_QUERY: u8 = b'Z';

#[derive(Clone, Default)]
pub(crate) struct RoundTrips(Arc<AtomicI64>);

impl RoundTrips {
    /// Counts those of whoever connects with what this gives.
    pub(crate) fn on_the_way_to(options: PgConnectOptions) -> (Self, PgConnectOptions) {
        let directory = options.get_socket().unwrap().clone();
        let socket = |port| directory.join(format!(".s.PGSQL.{port}"));
        let (server, own) = (socket(options.get_port()), socket(PORT));
        let _former = std::fs::remove_file(&own);
        let (counted, listener) = (Self::default(), UnixListener::bind(own).unwrap());
        let counting = counted.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut from_client, to_client) = client.into_split();
                let (from_server, mut to_server) = UnixStream::connect(&server).await.unwrap().into_split();
                tokio::spawn(counting.clone().count(from_server, to_client));
                tokio::spawn(async move {
                    let _ended = io::copy(&mut from_client, &mut to_server).await;
                    let _closed = to_server.shutdown().await;
                });
            }
        });
        (counted, options.port(PORT).ssl_mode(PgSslMode::Disable))
    }

    pub(crate) fn number(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    /// A message is a letter, its length, which counts itself, and the rest.
    async fn count(self, mut server: OwnedReadHalf, mut client: OwnedWriteHalf) -> io::Result<()> {
        loop {
            let (kind, length) = (server.read_u8().await?, server.read_u32().await?);
            let mut message = vec![0; length as usize - 4];
            server.read_exact(&mut message).await?;
            self.0.fetch_add((kind == READY_FOR_QUERY).into(), Ordering::SeqCst);
            let head = [&[kind][..], &length.to_be_bytes()].concat();
            client.write_all(&[head, message].concat()).await?;
        }
    }
}
