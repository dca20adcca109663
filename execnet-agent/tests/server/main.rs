//! The server as a program: real sockets, real TLS, real workers, real kills.
#![cfg(unix)]

mod access;
mod deaths;
mod hostile;
mod installvia;
mod script;
mod secrets;
mod service;
mod soak;
mod stock;
mod strangers;
mod support;
mod workers;
