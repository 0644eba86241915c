//! Leases: opened, prolonged, ended.

use std::time::Duration;

use super::{
    Link,
    answer::{Fields, Malformed},
    scripts::{CLOSE_LEASE, LEASE},
    terms::millis,
};
use crate::store::{
    StoreError,
    contract::{Attempt, LeaseId, OpenLease},
};

/// So many attempts are looked at by one script.
const TOGETHER: usize = 500;

impl Link {
    pub(super) async fn open_lease(&self, length: Duration, running: &[Attempt]) -> Result<OpenLease, StoreError> {
        let (first, rest) = running.split_at(running.len().min(TOGETHER));
        let (id, mut lost) = self.lease_call(None, length, first).await?;
        for some in rest.chunks(TOGETHER) {
            lost.extend(self.lease_call(Some(id), length, some).await?.1);
        }
        Ok(OpenLease { id, lost })
    }

    pub(super) async fn renew(&self, lease: LeaseId, running: &[Attempt]) -> Result<Vec<Attempt>, StoreError> {
        let (first, rest) = running.split_at(running.len().min(TOGETHER));
        let (_, mut over) = self.lease_call(Some(lease), Duration::ZERO, first).await?;
        for some in rest.chunks(TOGETHER) {
            over.extend(self.lease_call(Some(lease), Duration::ZERO, some).await?.1);
        }
        Ok(over)
    }

    pub(super) async fn close_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        let call = self.call(&CLOSE_LEASE).bytes(lease.0.to_string().as_bytes());
        self.connection.write(&call).await.map(|_| ())
    }

    /// Opens or prolongs the lease. Returns it, and which of the attempts run no longer.
    async fn lease_call(
        &self,
        lease: Option<LeaseId>,
        length: Duration,
        running: &[Attempt],
    ) -> Result<(LeaseId, Vec<Attempt>), StoreError> {
        let call = self.call(&LEASE).bytes(lease.map_or_else(String::new, |lease| lease.0.to_string()).as_bytes());
        let call = call.number(millis(length));
        let call = running
            .iter()
            .fold(call, |call, attempt| call.bytes(&attempt.operation.to_bytes()).number(attempt.number.into()));
        let (_, mut fields) = Fields::verdict(self.connection.write(&call).await?)?;
        let lease = LeaseId(i64::try_from(fields.number()?).map_err(|_| Malformed("lease"))?);
        let mut over = Vec::new();
        while !fields.is_empty() {
            let place = usize::try_from(fields.number()?).unwrap_or(usize::MAX);
            over.push(*running.get(place).ok_or(Malformed("place"))?);
        }
        Ok((lease, over))
    }
}
