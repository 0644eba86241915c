//! Calls of an application's own methods, and what the layer makes of them.

mod stage;
mod studio;

mod compression;
mod described;
mod durable;
mod keys;
mod monitor;
mod opt_in;
mod passing;
mod stores;
mod too_large;
mod unusual;
mod wire;
mod without;
