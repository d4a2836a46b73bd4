//! Says whose certificate it is.

use rustls_pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// The subject of a client certificate that was verified, here or by a trusted load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateSubject {
    /// The common name (CN); the first if there are several. `None`: there is none that is text.
    pub common_name: Option<String>,
    /// The whole subject in the form of RFC 4514, most specific part first and escaped:
    /// `CN=meter-7,OU=Plant\, North,O=Example`. `None` when a load balancer verified it, since
    /// the PROXY protocol carries the common name only.
    pub distinguished_name: Option<String>,
}

/// A certificate that TLS accepted and that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the client certificate cannot be read")]
pub(crate) struct CertificateError(#[from] x509_cert::der::Error);

/// Reads the subject. The certificate has been verified before.
pub(crate) fn subject(der: &CertificateDer<'_>) -> Result<CertificateSubject, CertificateError> {
    let certificate = Certificate::from_der(der)?;
    let subject = certificate.tbs_certificate().subject();
    let common_name = subject.common_name().ok().flatten();
    Ok(CertificateSubject {
        common_name: common_name.map(|name| name.value().into_owned()),
        distinguished_name: Some(subject.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn subject_with(names: &[(DnType, &str)]) -> CertificateSubject {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        subject(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn the_subject_is_the_common_name_and_the_whole_name_most_specific_first() {
        let subject = subject_with(&[
            (DnType::OrganizationName, "Example"),
            (DnType::OrganizationalUnitName, "Plant"),
            (DnType::CommonName, "Zähler-7"),
        ]);
        assert_eq!(subject.common_name.as_deref(), Some("Zähler-7"));
        assert_eq!(subject.distinguished_name.as_deref(), Some("CN=Zähler-7,OU=Plant,O=Example"));
    }

    #[test]
    fn a_value_cannot_pose_as_another_part_of_the_name() {
        let subject = subject_with(&[(DnType::OrganizationName, "x,CN=admin+O=\"y")]);
        assert_eq!(subject.common_name, None);
        let whole = subject.distinguished_name.unwrap();
        assert_eq!(whole, r#"O=x\,CN=admin\+O=\"y"#);
    }

    #[test]
    fn bytes_that_are_no_certificate_are_an_error() {
        assert!(subject(&CertificateDer::from(vec![0x30, 0x03, 1, 2])).is_err());
    }
}
