//! The certificate authorities of an image.
//!
//! An agent reads those of the machine it runs on, as operators expect. An image from scratch is no machine,
//! so it brings Mozilla's, of the version that `Cargo.lock` pins: the building machine's own would make the
//! image another one on each machine.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Where the file is in the image.
pub(super) const PATH: &str = "etc/ssl/certs/ca-certificates.crt";

/// Columns of a PEM file's lines.
const COLUMNS: usize = 64;

/// All of them as one PEM file.
pub(super) fn bundle() -> String {
    let mut bundle = String::new();
    for certificate in TLS_SERVER_ROOT_CERTS {
        bundle.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = BASE64_STANDARD.encode(certificate);
        while !rest.is_empty() {
            let next = rest.split_off(rest.len().min(COLUMNS));
            bundle.push_str(&rest);
            bundle.push('\n');
            rest = next;
        }
        bundle.push_str("-----END CERTIFICATE-----\n");
    }
    bundle
}
