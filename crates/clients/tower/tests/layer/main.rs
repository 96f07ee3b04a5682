//! What the layer does: over the wire with hyper-util, and over services that a test makes up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bodies;
mod grpc;
mod requests;
mod stage;
mod wire;
