//! Biped's provider for form-encoded /v1/auth/token endpoints with data and error envelopes.
