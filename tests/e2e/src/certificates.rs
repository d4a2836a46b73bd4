//! Certificates of a test's own.

use std::process::Command;

use crate::{TemporaryFolder, run};

/// Writes `ca.pem`, and certificate and key of `server` (for localhost and 127.0.0.1) and of `client`
/// (common name `meter-7`), as `NAME.pem` and `NAME.key`.
pub fn certificates(folder: &TemporaryFolder) {
    let script = "set -e
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
            -subj /CN=test-ca -keyout ca.key -out ca.pem \
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
        for name in server client; do
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=meter-7 \
                -keyout $name.key -out $name.csr
            printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > ext
            openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                -extfile ext -out $name.pem
        done";
    let made = run(Command::new("sh").args(["-c", script]).current_dir(folder.path()));
    assert!(made.status.success(), "{made:?}");
}
