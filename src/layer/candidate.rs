//! A request that may be detached, before its service gets it.

use std::sync::Arc;

use super::{
    Route,
    speech::Speech,
    submission::{Noted, Patience},
};

/// What is to be known of a request that may be detached.
pub(super) struct Candidate {
    pub(super) route: Arc<Route>,
    pub(super) noted: Noted,
    pub(super) patience: Patience,
    pub(super) speech: Speech,
}
