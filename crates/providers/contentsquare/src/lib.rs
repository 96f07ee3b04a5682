//! Contentsquare for Biped: JSON token requests, scopes per project and integration, endpoint discovery and /v1/oauth/me.
