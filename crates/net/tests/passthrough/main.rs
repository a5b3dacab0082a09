//! Passthrough on real sockets: bytes, ends, faults, switches, outliers and server names.

mod bytes;
mod ends;
mod names;
mod switch;
mod world;
