//! The vendors' servers on loopback, with faults on request, for tests, examples and the biped command.
