//! Which library does the cryptography of TLS: ring, for the whole process.
//!
//! The one place that says so. rustls wants to be told once in a process, before anybody connects anywhere.

use rustls::crypto::{CryptoProvider, ring};

/// Says it, unless somebody has.
pub fn use_ring() {
    if CryptoProvider::get_default().is_none() {
        // Whoever was faster said the same.
        drop(ring::default_provider().install_default());
    }
}
