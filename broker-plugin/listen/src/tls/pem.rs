//! Finds certificates, keys and revocation lists in PEM files, and says what is there instead.

use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::TlsError;

/// The parts of one file.
pub(super) struct Sections {
    file: PathBuf,
    sections: Vec<(SectionKind, Vec<u8>)>,
    /// What is there besides.
    other: &'static str,
}

impl Sections {
    pub(super) fn read(file: &Path) -> Result<Self, TlsError> {
        let file = file.to_owned();
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(source) => return Err(TlsError::Read { file, source }),
        };
        let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(&text).collect();
        match sections {
            Ok(sections) => Ok(Self { file, sections, other: other(&text) }),
            Err(error) => Err(TlsError::Pem { file, problem: problem(&error) }),
        }
    }

    /// All certificates: at least one.
    pub(super) fn certificates(self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        self.all("a certificate (BEGIN CERTIFICATE)")
    }

    /// All revocation lists: at least one.
    pub(super) fn crls(self) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        self.all("a revocation list (BEGIN X509 CRL)")
    }

    /// The first private key.
    pub(super) fn key(self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let mut keys = self.all("a private key (BEGIN PRIVATE KEY)")?;
        Ok(keys.swap_remove(0))
    }

    /// Everything of one type; without any, an error that says what is there.
    fn all<T: PemObject>(self, expected: &'static str) -> Result<Vec<T>, TlsError> {
        let found = self.found();
        let wanted = self.sections.into_iter().filter_map(|(kind, der)| T::from_pem(kind, der));
        let wanted: Vec<_> = wanted.collect();
        if wanted.is_empty() {
            return Err(TlsError::Missing { file: self.file, expected, found });
        }
        Ok(wanted)
    }

    fn found(&self) -> &'static str {
        match self.sections.first().map(|&(kind, _)| kind) {
            Some(SectionKind::Certificate) => "a certificate",
            Some(SectionKind::Crl) => "a revocation list",
            Some(SectionKind::Csr) => "a certificate request",
            Some(SectionKind::PublicKey) => "a public key",
            Some(
                SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey,
            ) => "a private key",
            Some(_) => "something else",
            None => self.other,
        }
    }
}

/// In words: the library prints the bytes of lines.
fn problem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a BEGIN line without its END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line that does not end in dashes",
        pem::Error::Base64Decode(_) => "a section that is not base64",
        _ => "a section that cannot be read",
    }
}

/// What a file is that holds nothing known.
fn other(text: &[u8]) -> &'static str {
    let contains = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    if contains(b"ENCRYPTED") {
        "an encrypted key: decrypt it, and let the file's permissions guard it"
    } else if contains(b"-----BEGIN ") {
        "something else"
    } else {
        "no PEM"
    }
}
