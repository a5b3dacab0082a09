//! Classic consumer groups, as a state machine without sockets and without a clock.
