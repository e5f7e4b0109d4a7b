//! The checks are checked.
