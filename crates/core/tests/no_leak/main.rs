//! Promise 1: no upstream address, node id, cluster id or topic id reaches a client, for every api and version offered; nor does a
//! leader epoch or a producer id of the cluster after a switch. And the other way round: no broker gets an identifier that only
//! the virtual cluster has.
//!
//! Every field of every request and response is filled, those that could identify a cluster with recognisable values, chosen by the
//! *names* of fields and not by the marks that the translation itself goes by. What a session then hands on is compared with what it
//! must be, and searched for values of the other side, whatever field they are in. A field with a name that nobody has reviewed
//! fails too: see `reviewed`.

mod coverage;
mod identifiers;
mod requests;
mod responses;
mod reviewed;
mod streams;
mod world;
