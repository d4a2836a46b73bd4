//! Ends the connection of a client, or its session, for an operator, and waits until that shows.

use std::time::Duration;

use ha_core::{Kick, Kicked};
use ha_member::distribute::{Handle, NoAnswer};
use ha_proto::v1::{KickClientRequest, KickClientResponse};
use ha_types::session::SessionKey;
use tokio::time;
use tonic::Status;

use crate::group::Group;

/// How long a broker may take to end a connection. Then the operator asks again.
const END_MAX: Duration = Duration::from_secs(3);

/// Between two looks at the state.
const LOOK: Duration = Duration::from_millis(10);

/// Longest client identifier of MQTT.
const CLIENT_ID_BYTES_MAX: usize = 65_535;

/// Does what an operator asks of the leader.
///
/// # Errors
/// A sentence for the operator.
pub(crate) async fn client(
    handle: &Handle,
    group: &Group,
    request: KickClientRequest,
) -> Result<KickClientResponse, Status> {
    let KickClientRequest { client_id, forget, .. } = request;
    if client_id.is_empty() || client_id.len() > CLIENT_ID_BYTES_MAX {
        return Err(Status::invalid_argument("a client identifier has 1 to 65,535 bytes"));
    }
    let what = if forget { Kick::Session } else { Kick::Connection };
    let kicked = handle.kick(client_id.clone(), what).await;
    let kicked = kicked.map_err(|error| match error {
        NoAnswer::NotLeader => Status::unavailable("the leader changed meanwhile; ask again"),
        NoAnswer::Stopped => Status::unavailable(error.to_string()),
    })?;
    let refused = |sentence: String| Err(Status::failed_precondition(sentence));
    let (session, broker) = match kicked {
        Kicked::Unknown => return refused(format!("there is no session of client {client_id:?}")),
        Kicked::Away => return refused(format!("client {client_id:?} is not connected")),
        Kicked::TooOld => {
            let sentence = "a member of the group is of a version that cannot end the session of a \
                            client that is away: upgrade it first";
            return refused(sentence.to_owned());
        }
        Kicked::Unreachable(broker) => {
            let sentence = format!("broker {broker} cannot be told at the moment; ask again");
            return Err(Status::unavailable(sentence));
        }
        Kicked::Told(session, broker) => (session, broker.to_string()),
        Kicked::Proposed(session) => (session, String::new()),
    };
    let ended = async {
        while !is_over(group, &client_id, session, what) {
            time::sleep(LOOK).await;
        }
    };
    match time::timeout(END_MAX, ended).await {
        Ok(()) => Ok(KickClientResponse { broker }),
        Err(_) => Err(Status::unavailable(format!(
            "client {client_id:?} was not ended in {} s; ask again",
            END_MAX.as_secs()
        ))),
    }
}

/// Whether nobody has the session under this ownership any more, and nothing is kept of it if it was to
/// end.
fn is_over(group: &Group, client_id: &str, kicked: SessionKey, what: Kick) -> bool {
    group.node().read(|machine| match machine.state().session_of(client_id) {
        Some((session, owner)) if session == kicked => what == Kick::Connection && owner.is_none(),
        Some(_) | None => true,
    })
}
