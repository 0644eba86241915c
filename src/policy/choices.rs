//! What a policy lets one choose for the end of a request and of its client.

/// How the status monitor answers `GET` for a finished operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "durable", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum Completion {
    /// `303 See Other` to the reply (RFC 9110, section 15.4.4).
    #[default]
    SeeOther,
    /// `302 Found` to the reply, for clients that know no 303.
    Found,
    /// The reply itself, for clients that follow no redirect.
    Replay,
}

/// What happens to a request whose client hangs up before it is answered or detached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnDisconnect {
    /// The handler is dropped, as it is without the layer.
    #[default]
    Cancel,
    /// The request is detached and goes on, though nobody has been told where its reply will be.
    Detach,
}

/// What happens to a gRPC call that exceeds its budget though its client does not know of operations.
#[cfg(feature = "grpc")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnBudget {
    /// It stays in line until it is answered, as without the layer.
    #[default]
    InLine,
    /// It ends with `DEADLINE_EXCEEDED`, whose details name the operation as which its work goes on.
    Status,
}

/// What becomes of an operation whose process dies.
#[cfg(feature = "durable")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Execution {
    /// It is lost: what runs is a future of that process.
    #[default]
    Detached,
    /// Its request has been stored before it was accepted, and any replica runs it again: at least once.
    Durable,
}
