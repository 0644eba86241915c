//! A tower layer for the Asynchronous Request-Reply pattern.

mod http;
mod policy;
