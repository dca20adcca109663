//! The bodies of the fuzz targets, as plain functions: cargo-fuzz runs them on bytes of its own making,
//! `tests/replay.rs` on the committed seeds. Each panics when what it checks does not hold.

mod core_bytes;
mod core_ops;
mod decode;
mod hello_server;
mod known_hosts;
mod marshal;
mod value;
mod xspec;

pub use core_bytes::core_bytes;
pub use core_ops::core_ops;
pub use decode::{decode, decode_cut};
pub use hello_server::hello_server;
pub use known_hosts::known_hosts;
pub use marshal::marshal;
pub use value::value;
pub use xspec::xspec;

/// The body of a target.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Target); 9] = [
    ("decode", decode),
    ("decode_cut", decode_cut),
    ("hello_server", hello_server),
    ("known_hosts", known_hosts),
    ("value", value),
    ("marshal", marshal),
    ("xspec", xspec),
    ("core_ops", core_ops),
    ("core_bytes", core_bytes),
];
