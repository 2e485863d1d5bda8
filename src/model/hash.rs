//! Digests of values: what tells whether a thing in the world is still what the file says.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256 of the JSON form of a value, as 64 hexadecimal digits. Maps must have a stable order (they do here: fields
/// in declaration order, `IndexMap` in the file's order, `BTreeMap` sorted).
pub fn of(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("specs are plain data and always have a JSON form");
    hex(&Sha256::digest(json))
}

/// The first `digits` hexadecimal digits of the SHA-256 of some bytes.
pub fn short_hex(bytes: &[u8], digits: usize) -> String {
    hex(&Sha256::digest(bytes)).chars().take(digits).collect()
}

/// The first `N` bytes of the SHA-256 of some bytes.
pub fn bytes<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let digest = Sha256::digest(bytes);
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
