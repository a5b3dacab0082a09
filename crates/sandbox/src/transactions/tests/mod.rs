//! Transactions, from introduction to end.

mod random;
mod steps;
