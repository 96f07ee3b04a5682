//! Whole-system tests: a file per behaviour.
