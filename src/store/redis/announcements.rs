//! Changes that others announce, heard over a connection of its own.

use std::{sync::Arc, time::Duration};

use redis::{ConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisResult, Value, aio::MultiplexedConnection};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Link,
    answer::id,
    connection::{config, connect},
    keys::Keys,
};
use crate::store::contract::{Change, Listener};

/// How long after a connection was lost, or could not be made, the next is tried.
const PAUSE: Duration = Duration::from_millis(500);

/// How often it is asked whether anybody is there at the other end, and how long that may take.
const PULSE: Duration = Duration::from_secs(5);

/// Tells the listener until the store is closed.
pub(super) async fn announce(info: ConnectionInfo, link: Arc<Link>, listener: Listener, closed: CancellationToken) {
    let for_ever = async {
        loop {
            if let Err(error) = listen(info.clone(), &link, &listener).await {
                tracing::debug!(%error, "changes made elsewhere are not heard of at present");
            }
            sleep(PAUSE).await;
        }
    };
    closed.run_until_cancelled(for_ever).await;
}

async fn listen(info: ConnectionInfo, link: &Link, listener: &Listener) -> RedisResult<()> {
    let (mut connection, mut pushed) = subscribe(info, &link.keys).await?;
    listener(Change::Anything);
    loop {
        match timeout(PULSE, pushed.recv()).await {
            Err(_quiet) => in_time(redis::cmd("PING").exec_async(&mut connection)).await?,
            Ok(None | Some(PushInfo { kind: PushKind::Disconnection, .. })) => return Ok(()),
            Ok(Some(push)) => tell(&push, link.instance, listener),
        }
    }
}

/// Whether changes can be heard of.
pub(super) async fn try_to_subscribe(info: ConnectionInfo, keys: &Keys) -> RedisResult<()> {
    subscribe(info, keys).await.map(|_| ())
}

async fn subscribe(
    info: ConnectionInfo,
    keys: &Keys,
) -> RedisResult<(MultiplexedConnection, mpsc::UnboundedReceiver<PushInfo>)> {
    let protocol = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let info = info.set_redis_settings(protocol);
    let (sender, pushed) = mpsc::unbounded_channel();
    let mut connection = in_time(connect(info, config().set_push_sender(sender))).await?;
    in_time(connection.subscribe(&*keys.channel)).await?;
    Ok((connection, pushed))
}

async fn in_time<T>(asked: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(PULSE, asked).await.unwrap_or_else(|late| Err(std::io::Error::from(late).into()))
}

fn tell(push: &PushInfo, instance: [u8; 8], listener: &Listener) {
    if let (PushKind::Message, [_, Value::BulkString(message)]) = (&push.kind, &*push.data) {
        changes(message, instance).for_each(|change| listener(change));
    }
}

/// A message says who made the changes, then `q` where something was queued, then the operations. One's own are known.
fn changes(message: &[u8], instance: [u8; 8]) -> impl Iterator<Item = Change> + '_ {
    let (by, message) = message.split_at_checked(instance.len()).unwrap_or_default();
    let message = if by == instance { &[] } else { message };
    let (queued, ids) = message.split_at(message.len() % 16);
    let operations = ids.chunks(16).filter_map(|bytes| id(bytes).ok()).map(Change::Operation);
    queued.first().map(|_| Change::Queued).into_iter().chain(operations)
}
