//! HTTP to elsewhere: the host's own requests, and those of plugins.

pub mod address;
pub mod multipart;
pub mod outbound;

use std::sync::Once;

static CRYPTOGRAPHY: Once = Once::new();

/// A client as it is.
pub fn new() -> reqwest::Client {
    // Without options there is nothing that could be wrong.
    client().build().unwrap_or_default()
}

/// A client to configure further.
pub fn client() -> reqwest::ClientBuilder {
    // The provider that the databases use already. Another one that the embedder has chosen stays.
    CRYPTOGRAPHY.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder().user_agent(concat!("moondock/", env!("CARGO_PKG_VERSION")))
}
