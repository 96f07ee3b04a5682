//! Biped on reqwest: the hardened HttpClient for token requests, and ApiClient for calls with a token.
