//! The gate: one answer from all sources, and the rules for those who are in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use broker_core::access::{Access, Acl, AclError, Identity};
use broker_core::engine::{Attempt, Credentials, Verdict};
use bytes::Bytes;

use crate::password_file::{PasswordFile, PasswordFileError};
use crate::pool::{Full, Pool};

/// Where identities and rules come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// Whether a client may come in without a name.
    pub allow_anonymous: bool,
    /// Users and hashes; `None`: there are none.
    pub password_file: Option<PathBuf>,
    /// Rules; `None`: everybody may do everything.
    pub acl_file: Option<PathBuf>,
    /// What of a verified certificate is the user name.
    pub certificate_user: CertificateUser,
    /// Threads that verify passwords, at least 1.
    pub hash_threads: usize,
    /// Passwords that wait for them, at least 1. More are refused: the broker is busy.
    pub hash_queue_max: usize,
}

/// What of a certificate is the user name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateUser {
    /// Nothing: a certificate opens the connection, and says no name.
    #[default]
    None,
    /// The common name.
    CommonName,
    /// The whole subject.
    Subject,
}

/// Whom a client's certificate is for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// If the subject has one.
    pub common_name: Option<&'a str>,
    /// The whole subject as text.
    pub subject: &'a str,
}

/// Why the gate cannot open, or cannot read its files again.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A file cannot be read.
    #[error("{0}: cannot be read")]
    Read(String, #[source] std::io::Error),
    /// The password file is wrong.
    #[error(transparent)]
    Passwords(#[from] PasswordFileError),
    /// The ACL file is wrong.
    #[error(transparent)]
    Acl(#[from] AclError),
    /// The operating system gave no thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    config: Arc<AuthConfig>,
    files: Arc<RwLock<Files>>,
    pool: Pool,
}

#[derive(Clone, Debug, Default)]
struct Files {
    passwords: Option<Arc<PasswordFile>>,
    acl: Option<Arc<Acl>>,
}

impl Gate {
    /// Reads the files and starts the threads.
    ///
    /// # Errors
    /// [`AuthError`]
    pub fn open(config: AuthConfig) -> Result<Self, AuthError> {
        let files = Files::read(&config)?;
        let pool = Pool::start(config.hash_threads, config.hash_queue_max);
        let pool = pool.map_err(AuthError::Thread)?;
        Ok(Self { config: Arc::new(config), files: Arc::new(RwLock::new(files)), pool })
    }

    /// Reads the files again. Clients that are connected keep their names and get the new rules with
    /// their next connection.
    ///
    /// # Errors
    /// [`AuthError`]; the old files stay in force, both of them.
    pub fn reload(&self) -> Result<(), AuthError> {
        let files = Files::read(&self.config)?;
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = files;
        Ok(())
    }

    /// The rules as they are; `None`: everybody may do everything.
    #[must_use]
    pub fn access(&self) -> Option<Arc<dyn Access>> {
        let acl = self.files().acl;
        acl.map(|acl| -> Arc<dyn Access> { acl })
    }

    fn files(&self) -> Files {
        self.files.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Judges an attempt. There are no methods of enhanced authentication.
    ///
    /// A name counts only when it is proved: by the certificate, which then wins over what CONNECT
    /// says, or by a password. A client that says a name where nobody could prove one comes in
    /// without a name, if anonymous clients may.
    pub async fn judge(&self, credentials: Credentials, subject: Option<Subject<'_>>) -> Verdict {
        let Credentials { client_id, attempt } = credentials;
        let Attempt::Plain { user_name, password } = attempt else { return Verdict::BadMethod };
        let admitted = |user_name: Option<Arc<str>>| Verdict::Admitted {
            identity: Identity { client_id: Arc::clone(&client_id), user_name },
            data: None,
        };
        if let Some(name) = self.certified(subject) {
            return admitted(Some(name.into()));
        }
        match (user_name, self.files().passwords) {
            (Some(name), Some(passwords)) => {
                let password = password.map_or_else(Bytes::new, |given| given.as_bytes().clone());
                match self.check(&passwords, name.as_str(), password).await {
                    Ok(true) => admitted(Some(name.as_str().into())),
                    Ok(false) => Verdict::BadCredentials,
                    Err(Full) => Verdict::Busy,
                }
            }
            _ if self.config.allow_anonymous => admitted(None),
            (Some(_), None) => Verdict::BadCredentials,
            (None, _) => Verdict::NotAuthorized,
        }
    }

    fn certified<'a>(&self, subject: Option<Subject<'a>>) -> Option<&'a str> {
        let subject = subject?;
        match self.config.certificate_user {
            CertificateUser::None => None,
            CertificateUser::CommonName => subject.common_name.filter(|name| !name.is_empty()),
            CertificateUser::Subject => Some(subject.subject).filter(|name| !name.is_empty()),
        }
    }

    async fn check(
        &self,
        passwords: &PasswordFile,
        name: &str,
        password: Bytes,
    ) -> Result<bool, Full> {
        match passwords.hash(name) {
            Some(hash) => self.pool.verify(hash, password).await,
            None => Ok(false),
        }
    }
}

impl Files {
    fn read(config: &AuthConfig) -> Result<Self, AuthError> {
        let passwords = match &config.password_file {
            Some(path) => {
                warn_if_open(path);
                let (name, text) = read(path)?;
                Some(Arc::new(PasswordFile::parse(&name, &text)?))
            }
            None => None,
        };
        let acl = match &config.acl_file {
            Some(path) => {
                let (name, text) = read(path)?;
                Some(Arc::new(Acl::parse(&name, &text)?))
            }
            None => None,
        };
        Ok(Self { passwords, acl })
    }
}

/// Name and text of a file.
fn read(path: &Path) -> Result<(String, String), AuthError> {
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(AuthError::Read(name, error)),
    }
}

#[cfg(unix)]
fn warn_if_open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let is_open = |data: fs::Metadata| data.permissions().mode() & 0o004 != 0;
    if fs::metadata(path).is_ok_and(is_open) {
        tracing::warn!(file = %path.display(), "everybody on this machine can read the password file");
    }
}

#[cfg(not(unix))]
fn warn_if_open(_: &Path) {}

#[cfg(test)]
mod tests;
