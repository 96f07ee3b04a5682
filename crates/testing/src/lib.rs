//! What tests of Biped stand on.
