//! Crash by enumeration: every verb of the store and every send fails, repeats, stalls or dies, once at each of its
//! calls, and afterwards the five promises hold.
//!
//! A story is told undisturbed first, which counts the calls of every verb; then it is told again for every call and
//! every fault, over a fresh database, by a driver that behaves like Stripe (what got no 200 is sent again) and like a
//! supervisor (what died is started again). The verbs are read from the traits' source: one that no story exercises
//! fails a test, so a new verb is covered the day it is added. How: a line in `store.rs` or `senders.rs` here, and a
//! story that needs it.

mod batch;
mod enumeration;
mod moved;
mod point;
mod promises;
mod senders;
mod stage;
mod store;
mod stories;
mod verbs;
