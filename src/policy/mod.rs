//! Which rules hold for this request.
