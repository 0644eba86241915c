//! What a client named a request by, so that it is done once however often it is sent.

/// An idempotency key, as a store sees it: two fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Of the owner, the method, the route and the key: the same name is the same operation.
    pub name: [u8; 16],
    /// Of the method, the target and the body: the same name for another request is a mistake.
    pub request: [u8; 16],
}
