//! Claims of what is queued.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    Link,
    answer::{Fields, Malformed},
    scripts::{CLAIM, GIVE_BACK},
};
use crate::{
    operation::OperationId,
    store::{
        Engine, StoreError,
        contract::{Attempt, Claimed, LeaseId},
    },
};

/// So many are claimed by one script, and about so many bytes of requests.
const TOGETHER: usize = 128;
const BYTES: u64 = 16 * 1024 * 1024;

/// So many may be left to others in one claim.
const MOST_LEFT: usize = 100;

/// How often a claim whose answer did not come is taken back, and how long to wait before trying again.
const TRIES: u32 = 600;
const PAUSE: Duration = Duration::from_secs(1);

impl Link {
    /// Claims. Where the answer does not come, whatever was claimed is given back as soon as the server can be reached:
    /// nobody knows that it is to be run, and as long as the lease goes on, nobody else would.
    pub(super) async fn claim(
        self: Arc<Self>,
        engine: &Engine,
        lease: LeaseId,
        limit: usize,
    ) -> Result<Vec<Claimed>, StoreError> {
        let claim = OperationId::random().noise();
        let claimed = self.try_to_claim(lease, claim, limit).await;
        if matches!(claimed, Err(StoreError::Unavailable(_) | StoreError::Unreadable(_))) {
            engine.spawn(async move { self.give_back(lease, claim).await });
        }
        claimed
    }

    async fn try_to_claim(&self, lease: LeaseId, claim: u32, limit: usize) -> Result<Vec<Claimed>, StoreError> {
        let (mut claimed, mut left) = (Vec::new(), 0);
        loop {
            let call = self.call(&CLAIM).bytes(lease.0.to_string().as_bytes()).number(claim.into());
            let call = call.number(limit.min(TOGETHER) as u64).number(BYTES);
            let (_, mut begun) = Fields::verdict(self.connection.write(&call).await?)?;
            let left_before = left;
            while !begun.is_empty() {
                let mut fields = begun.fields()?;
                let attempt = Attempt { operation: fields.id()?, number: fields.attempt()? };
                match self.claimed(attempt, fields).await {
                    Ok(one) => claimed.extend(one),
                    Err(StoreError::Unreadable(error)) => {
                        tracing::warn!(%error, "a queued operation cannot be read by this release");
                        self.leave(attempt).await?;
                        left += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
            // None are claimed only where there are none.
            if !claimed.is_empty() || left == left_before || left >= MOST_LEFT {
                return Ok(claimed);
            }
        }
    }

    /// None where it has been canceled meanwhile.
    async fn claimed(&self, attempt: Attempt, mut fields: Fields) -> Result<Option<Claimed>, StoreError> {
        let (owner, digest, created) = (fields.owner()?, fields.digest()?, fields.time()?);
        let Some(request) = self.request(&fields.bytes()?).await? else { return Ok(None) };
        let terms = self.terms.of(digest, &self.connection, &self.keys).await?.ok_or(Malformed("digest"))?;
        Ok(Some(Claimed { attempt, owner, terms, created, request }))
    }

    async fn give_back(&self, lease: LeaseId, claim: u32) {
        for _ in 0..TRIES {
            let call = self.call(&GIVE_BACK).bytes(lease.0.to_string().as_bytes());
            let call = call.number(claim.into()).number(TOGETHER as u64);
            match self.connection.write(&call).await {
                Ok(redis::Value::Int(0)) => return,
                Ok(_) => {}
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}
