//! The holder of sessions, and the plugin, between the connections.

use broker_core::holder::{self, RouteChange};
use broker_core::host::{HostCommand, HostEvent};
use ha_types::Millis;

use super::Broker;

impl Broker {
    pub(super) fn hold(&mut self, input: holder::Input) {
        let mut outputs = Vec::new();
        self.holder.step(self.moment(), input, &mut outputs);
        for output in outputs {
            match output {
                holder::Output::Tell(id, tell) => self.told(id, tell),
                holder::Output::Route(RouteChange::Add { connection, filter, route }) => {
                    self.routes.add(connection, connection, &filter, route);
                }
                holder::Output::Route(RouteChange::Remove { connection, filter }) => {
                    self.routes.remove(connection, &filter);
                }
                holder::Output::Route(RouteChange::RemoveAll { connection }) => {
                    self.routes.remove_all(connection);
                }
                holder::Output::Plugin(event) => self.plugin(event),
                holder::Output::Publish(will) => {
                    self.publish(&will);
                    self.hold(holder::Input::Message(will));
                }
            }
        }
    }

    fn plugin(&mut self, event: HostEvent) {
        let commands = self.plugin.event(Millis(self.now), event);
        match &mut self.late_answers {
            Some(late) => late.extend(commands),
            None => self.take(commands),
        }
    }

    pub(super) fn take(&mut self, commands: Vec<HostCommand>) {
        for command in commands {
            match command {
                HostCommand::Subscribed { ticket, retained } => {
                    self.hold(holder::Input::Retained { ticket, retained });
                }
                HostCommand::SubscribeRefused { ticket } => {
                    self.hold(holder::Input::SubscribeRefused { ticket });
                }
                HostCommand::Deliver(delivery) => panic!("from another broker: {delivery:?}"),
                HostCommand::Tell(..) | HostCommand::Route(_) | HostCommand::ClusterTime(_) => {
                    panic!("of a cluster: {command:?}")
                }
            }
        }
    }
}
