//! The rules for methods of gRPC services.

use std::sync::Arc;

use super::{OnBudget, Policy};

/// What holds for gRPC methods alone.
impl Policy {
    /// What happens to a gRPC call that exceeds its budget, and whose client has not said `prefer: respond-async`.
    ///
    /// Default: [`OnBudget::InLine`].
    #[must_use]
    pub fn on_budget(mut self, on_budget: OnBudget) -> Self {
        self.on_budget = on_budget;
        self
    }

    /// The full name of the message that a gRPC method replies with, such as `renders.v1.Picture`, for a method that no
    /// descriptor set tells of. It says, too, that neither side of the method is a stream.
    ///
    /// For a route whose pattern is the method's path, such as `/renders.v1.Renders/Render`; for any other, it is an
    /// error when the table is built. Default: what the [descriptor sets](crate::RespondAsyncLayer::grpc) say.
    #[must_use]
    pub fn response_type(mut self, name: impl Into<Arc<str>>) -> Self {
        self.response_type = Some(name.into());
        self
    }
}
