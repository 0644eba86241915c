//! Requests and replies as bytes: small ones where they belong, large ones in pieces, so that no single command holds
//! up the server. The pieces are written first, as a draft; the script that needs them makes them count, or drops them
//! where it refuses what they are for. A draft that nobody came for is swept.

use std::time::Duration;

use tokio::time::timeout;

use super::{Link, answer::Malformed, connection::unavailable, scripts::DRAFT};
use crate::{
    operation::{OperationId, Reply, StoredRequest},
    store::{StoreError, contract::Part, redis::keys::Keys},
};

/// What is larger than this is kept in pieces.
const SMALL: usize = 16 * 1024;

/// The length of a piece.
const PIECE: usize = 1024 * 1024;

/// How long a draft may take to write, and how long it is kept in any case.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5 * 60);
pub(super) const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

const WHOLE: u8 = 0;
const IN_PIECES: u8 = 1;
const NAME: usize = 16;

impl Link {
    /// Has the request kept. What is returned stands for it.
    pub(super) async fn keep_request(&self, request: &StoredRequest) -> Result<Vec<u8>, StoreError> {
        let record = request.to_record().ok_or(StoreError::Unsupported("requests with headers beyond 4 GiB"))?;
        self.keep(&record, &[]).await
    }

    /// Has the reply kept. What is returned stands for it.
    pub(super) async fn keep_reply(&self, reply: &Reply) -> Result<Vec<u8>, StoreError> {
        let head = Reply::head(reply.ending(), reply.status_or_none());
        self.keep(&reply.to_record(), &head.to_record()).await
    }

    async fn keep(&self, record: &[u8], head: &[u8]) -> Result<Vec<u8>, StoreError> {
        if record.len() <= SMALL {
            return Ok(whole(record));
        }
        let pieces = u32::try_from(record.len().div_ceil(PIECE)).map_err(unavailable)?;
        let draft = [OperationId::random().to_bytes().as_slice(), &pieces.to_be_bytes()].concat();
        let written = timeout(WRITTEN_WITHIN, self.write_draft(&draft, record));
        written.await.map_err(unavailable)??;
        Ok([&[IN_PIECES], draft.as_slice(), head].concat())
    }

    async fn write_draft(&self, draft: &[u8], record: &[u8]) -> Result<(), StoreError> {
        self.connection.script(&self.call(&DRAFT).bytes(draft)).await?;
        for (number, piece) in (0_u32..).zip(record.chunks(PIECE)) {
            let field = field(draft, number);
            let command = redis::Cmd::hset(self.keys.name(Keys::PIECES), &field, piece);
            self.connection.ask::<()>(&command).await?;
        }
        Ok(())
    }

    /// The request that this stands for; none where it was forgotten meanwhile.
    pub(super) async fn request(&self, kept: &[u8]) -> Result<Option<StoredRequest>, StoreError> {
        let Some(record) = self.record(kept).await? else { return Ok(None) };
        StoredRequest::from_record(&record).map(Some).map_err(unreadable)
    }

    /// The reply that this stands for, or no more than its status; none where it was forgotten meanwhile.
    pub(super) async fn reply(&self, kept: &[u8], part: Part) -> Result<Option<Reply>, StoreError> {
        let record = match (part, kept) {
            (Part::Status, [IN_PIECES, rest @ ..]) => rest.get(NAME + 4..).map(<[u8]>::to_vec),
            _ => self.record(kept).await?,
        };
        record.map(|record| Reply::from_record(&record).map_err(unreadable)).transpose()
    }

    async fn record(&self, kept: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match kept {
            [WHOLE, record @ ..] => Ok(Some(record.to_vec())),
            [IN_PIECES, rest @ ..] => match rest.first_chunk::<{ NAME + 4 }>() {
                Some(draft) => self.read_pieces(draft).await,
                None => Err(Malformed("body").into()),
            },
            _ => Err(Malformed("body").into()),
        }
    }

    async fn read_pieces(&self, draft: &[u8; NAME + 4]) -> Result<Option<Vec<u8>>, StoreError> {
        let [.., a, b, c, d] = *draft;
        let mut record = Vec::new();
        for number in 0..u32::from_be_bytes([a, b, c, d]) {
            let command = redis::Cmd::hget(self.keys.name(Keys::PIECES), field(draft, number));
            let Some(piece) = self.connection.ask::<Option<Vec<u8>>>(&command).await? else { return Ok(None) };
            record.extend_from_slice(&piece);
        }
        Ok(Some(record))
    }
}

/// What stands for a small body.
pub(super) fn whole(record: &[u8]) -> Vec<u8> {
    [&[WHOLE], record].concat()
}

fn field(draft: &[u8], number: u32) -> Vec<u8> {
    [draft.get(..NAME).unwrap_or_default(), &number.to_be_bytes()].concat()
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unreadable(Box::new(error))
}
