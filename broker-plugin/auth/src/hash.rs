//! Password hashes as Mosquitto writes them.
//!
//! - `$6$salt$hash`: SHA-512 of password and salt, once.
//! - `$7$iterations$salt$hash`: PBKDF2 with HMAC-SHA-512, 64 bytes.
//!
//! Salt and hash are base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

/// Bytes of SHA-512, and of the key that is derived.
const HASH_BYTES: usize = 64;

/// Rounds of PBKDF2 that a file may ask for: a hundred times Mosquitto's own, about ten seconds.
const ITERATIONS_MAX: u32 = 10_000_000;

/// Bytes of a salt; Mosquitto's have 12 or 64.
const SALT_BYTES_MAX: usize = 1_024;

/// A text that is no hash of these kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// Perhaps a plain password.
    #[error("expected a hash such as $7$…, made by mosquitto_passwd")]
    Kind,
    /// Of `$7$`.
    #[error("expected 1 to 10,000,000 iterations")]
    Iterations,
    /// Of salt or hash.
    #[error("salt or hash is not base64 of the right length")]
    Encoding,
}

/// A hash and what is needed to compare a password with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hash {
    kind: Kind,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sha512,
    Pbkdf2 { iterations: u32 },
}

impl Hash {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidHash> {
        let rest = text.strip_prefix('$').ok_or(InvalidHash::Kind)?;
        let parts: Vec<_> = rest.split('$').collect();
        let (kind, salt, hash) = match parts[..] {
            ["6", salt, hash] => (Kind::Sha512, salt, hash),
            ["7", iterations, salt, hash] => {
                let iterations = iterations.parse().map_err(|_| InvalidHash::Iterations)?;
                if !(1..=ITERATIONS_MAX).contains(&iterations) {
                    return Err(InvalidHash::Iterations);
                }
                (Kind::Pbkdf2 { iterations }, salt, hash)
            }
            _ => return Err(InvalidHash::Kind),
        };
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| InvalidHash::Encoding);
        let (salt, hash) = (decode(salt)?, decode(hash)?);
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX || hash.len() != HASH_BYTES {
            return Err(InvalidHash::Encoding);
        }
        Ok(Self { kind, salt, hash })
    }

    /// Takes as long for a wrong password as for the right one.
    pub(crate) fn verify(&self, password: &[u8]) -> bool {
        let mut found = [0; HASH_BYTES];
        match self.kind {
            Kind::Sha512 => {
                let digest = Sha512::new().chain_update(password).chain_update(&self.salt);
                found.copy_from_slice(&digest.finalize());
            }
            Kind::Pbkdf2 { iterations } => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, &self.salt, iterations, &mut found);
            }
        }
        found.ct_eq(&self.hash[..]).into()
    }

    /// One that costs the same to verify and that no password has.
    pub(crate) fn decoy(&self) -> Self {
        let hash = self.hash.iter().map(|byte| byte ^ 0xFF).collect();
        Self { hash, ..self.clone() }
    }
}
