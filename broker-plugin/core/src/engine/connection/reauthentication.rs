//! Authentication while the client is connected (5.0 §4.12.1). Other packets go on meanwhile.

use super::ending::End;
use super::serving::Serving;
use crate::codec::{Auth, Authentication, FromServer, Reason, Remarks};
use crate::engine::output::{Attempt, Credentials, Output, Request, Verdict};

impl Serving {
    /// [MQTT-4.12.1-1]
    pub(super) fn reauthenticate(&mut self, auth: Auth, out: &mut Output) -> Result<(), End> {
        let Authentication { method, data } = auth.authentication;
        let is_same = self.method.as_ref() == Some(&method);
        let attempt = match auth.reason {
            Reason::REAUTHENTICATE if is_same && !self.reauthenticating => {
                Attempt::Again { method, data }
            }
            Reason::CONTINUE_AUTHENTICATION if is_same && self.reauthenticating => {
                Attempt::Continue { data }
            }
            _ => {
                let why = "AUTH with another method, or out of order";
                return Err(End::because(Reason::PROTOCOL_ERROR, why));
            }
        };
        self.reauthenticating = true;
        let credentials = Credentials { client_id: self.identity.client_id.clone(), attempt };
        out.requests.push(Request::Authenticate(Box::new(credentials)));
        Ok(())
    }

    /// [MQTT-4.12.1-2]: a failure ends the connection.
    pub(super) fn verdict(&mut self, verdict: Verdict, out: &mut Output) -> Result<(), End> {
        let Some(method) = self.method.clone().filter(|_| self.reauthenticating) else {
            return Ok(());
        };
        let (reason, data) = match verdict {
            Verdict::Admitted { identity, data } => {
                self.identity = identity;
                self.reauthenticating = false;
                (Reason::SUCCESS, data)
            }
            Verdict::Challenge { data } => (Reason::CONTINUE_AUTHENTICATION, data),
            Verdict::Busy => {
                return Err(End::because(Reason::SERVER_BUSY, "too many authentications"));
            }
            Verdict::BadCredentials | Verdict::NotAuthorized | Verdict::BadMethod => {
                return Err(End::because(Reason::NOT_AUTHORIZED, "re-authentication failed"));
            }
        };
        let authentication = Authentication { method, data };
        let auth = Auth { reason, authentication, remarks: Remarks::default() };
        FromServer::Auth(auth).encode(&self.recipient, &mut out.bytes)?;
        Ok(())
    }
}
