//! From ha-server to broker.

use ha_types::link::{Downstream, KNOWN_AS_MAX, Origin, PublishOutcome};
use ha_types::{AskNumber, BrokerEpoch, PublishNumber, RetainedVersion, Ticket};

use super::ProtocolError;
use super::hello::{goodbye_from, goodbye_into, welcome_from, welcome_into};
use super::message::{change_from, change_into, message_into, required_message};
use super::tell::{tell_from, tell_into};
use crate::v1::downstream_item::Item;
use crate::v1::{self, publish_result::Outcome};

pub(crate) fn downstream_from(item: Item) -> Result<Downstream, ProtocolError> {
    Ok(match item {
        Item::Deliver(deliver) => deliver_from(deliver)?,
        Item::PublishResult(result) => result_from(&result)?,
        Item::Asked(asked) => Downstream::Asked { upto: AskNumber(asked.upto) },
        Item::Welcome(welcome) => Downstream::Welcome(welcome_from(&welcome)),
        Item::InterestTaken(taken) => Downstream::InterestTaken { ticket: Ticket(taken.ticket) },
        Item::RetainedUpdate(change) => Downstream::RetainedUpdate(change_from(change)?),
        Item::RetainedBegin(v1::RetainedBegin {}) => Downstream::RetainedBegin,
        Item::RetainedSynced(synced) => {
            Downstream::RetainedSynced { version: RetainedVersion(synced.version) }
        }
        Item::Drain(v1::Drain { per_second }) => {
            Downstream::Drain { per_second: Some(per_second).filter(|rate| *rate > 0) }
        }
        Item::Undrain(v1::Undrain {}) => Downstream::Undrain,
        Item::Goodbye(goodbye) => Downstream::Goodbye(goodbye_from(goodbye)?),
        Item::Chunk(_) => return Err(ProtocolError::UnexpectedChunk),
        Item::Opened(_)
        | Item::OpenRefused(_)
        | Item::Subscribed(_)
        | Item::Unsubscribed(_)
        | Item::Released(_)
        | Item::SessionDeliver(_)
        | Item::Page(_)
        | Item::Recorded(_)
        | Item::Evict(_)
        | Item::Fenced(_) => tell_from(item)?,
    })
}

pub(crate) fn downstream_into(item: &Downstream) -> Item {
    match item {
        Downstream::Deliver { origin, known_as, message, retained } => Item::Deliver(v1::Deliver {
            message: Some(message_into(message)),
            retained_version: retained.0,
            origin_epoch: origin.map_or(0, |origin| origin.broker.0),
            origin_number: origin.map_or(0, |origin| origin.number.0),
            known_as: known_as.iter().map(origin_into).collect(),
        }),
        Downstream::PublishResult { number, outcome, retained } => {
            Item::PublishResult(v1::PublishResult {
                number: number.0,
                outcome: outcome_into(*outcome).into(),
                retained_version: retained.0,
            })
        }
        Downstream::Tell { connection, tell } => tell_into(*connection, tell),
        Downstream::Asked { upto } => Item::Asked(v1::Asked { upto: upto.0 }),
        Downstream::Welcome(welcome) => Item::Welcome(welcome_into(welcome)),
        Downstream::InterestTaken { ticket } => {
            Item::InterestTaken(v1::InterestTaken { ticket: ticket.0 })
        }
        Downstream::RetainedUpdate(change) => Item::RetainedUpdate(change_into(change)),
        Downstream::RetainedBegin => Item::RetainedBegin(v1::RetainedBegin {}),
        Downstream::RetainedSynced { version } => {
            Item::RetainedSynced(v1::RetainedSynced { version: version.0 })
        }
        Downstream::Drain { per_second } => {
            Item::Drain(v1::Drain { per_second: per_second.unwrap_or(0) })
        }
        Downstream::Undrain => Item::Undrain(v1::Undrain {}),
        Downstream::Goodbye(goodbye) => Item::Goodbye(goodbye_into(goodbye)),
    }
}

fn deliver_from(wire: v1::Deliver) -> Result<Downstream, ProtocolError> {
    if wire.known_as.len() > KNOWN_AS_MAX {
        return Err(ProtocolError::out_of_range("known_as", wire.known_as.len()));
    }
    let origin = match (wire.origin_epoch, wire.origin_number) {
        (0, 0) if wire.known_as.is_empty() => None,
        (epoch, number) => Some(origin_from(&v1::Origin { epoch, number })?),
    };
    let known_as = wire.known_as.iter().map(origin_from).collect::<Result<_, _>>()?;
    Ok(Downstream::Deliver {
        origin,
        known_as,
        message: required_message(wire.message)?,
        retained: RetainedVersion(wire.retained_version),
    })
}

fn origin_from(wire: &v1::Origin) -> Result<Origin, ProtocolError> {
    match (wire.epoch, wire.number) {
        (0, _) => Err(ProtocolError::Missing("origin_epoch")),
        (_, 0) => Err(ProtocolError::Missing("origin_number")),
        (epoch, number) => Ok(Origin { broker: BrokerEpoch(epoch), number: PublishNumber(number) }),
    }
}

fn origin_into(origin: &Origin) -> v1::Origin {
    v1::Origin { epoch: origin.broker.0, number: origin.number.0 }
}

fn result_from(wire: &v1::PublishResult) -> Result<Downstream, ProtocolError> {
    if wire.number == 0 {
        return Err(ProtocolError::Missing("the number of a publish"));
    }
    let outcome = Outcome::try_from(wire.outcome)
        .map_err(|_| ProtocolError::unknown("outcome", wire.outcome))?;
    Ok(Downstream::PublishResult {
        number: PublishNumber(wire.number),
        outcome: match outcome {
            Outcome::Accepted => PublishOutcome::Accepted,
            Outcome::RetainedFull => PublishOutcome::RetainedFull,
            Outcome::Repeat => PublishOutcome::Repeat,
            Outcome::QuotaExceeded => PublishOutcome::QuotaExceeded,
            Outcome::Fenced => PublishOutcome::Fenced,
        },
        retained: RetainedVersion(wire.retained_version),
    })
}

fn outcome_into(outcome: PublishOutcome) -> Outcome {
    match outcome {
        PublishOutcome::Accepted => Outcome::Accepted,
        PublishOutcome::RetainedFull => Outcome::RetainedFull,
        PublishOutcome::Repeat => Outcome::Repeat,
        PublishOutcome::QuotaExceeded => Outcome::QuotaExceeded,
        PublishOutcome::Fenced => Outcome::Fenced,
    }
}
