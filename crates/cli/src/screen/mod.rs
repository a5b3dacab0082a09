//! What the views in a terminal share: the terminal itself, keys, one line, colours, words, lists of events, the help.
//!
//! A view is a [`terminal::View`]: `demo` and `top` are the two. Nothing here knows what is shown.

pub(crate) mod events;
pub(crate) mod help;
pub(crate) mod keys;
pub(crate) mod line;
#[cfg(test)]
pub(crate) mod picture;
pub(crate) mod terminal;
pub(crate) mod theme;
pub(crate) mod words;
