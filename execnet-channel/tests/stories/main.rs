//! Stories told on the simulator: two cores, a link, a clock moved by hand. Every step is checked
//! against the books (`Sim::checked`), so each of them also says that no byte of credit was lost.

#[path = "../common/mod.rs"]
mod common;
mod told;

mod credit;
mod death;
mod ending;
mod fairness;
mod fragments;
mod keepalive;
mod signals;
mod windows;
