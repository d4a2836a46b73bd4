"""What paho-mqtt sees of a broker: python paho_scenarios.py PORT VERSION, VERSION 31, 311 or 5.

Each scenario is a function with assertions; the first that fails ends the run.
"""

import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PORT = int(sys.argv[1])
VERSION = {"31": mqtt.MQTTv31, "311": mqtt.MQTTv311, "5": mqtt.MQTTv5}[sys.argv[2]]
IS_5 = VERSION == mqtt.MQTTv5
LONG = 20


def properties(packet, **values):
    """Properties of a packet by their names in paho."""
    found = Properties(packet)
    for name, value in values.items():
        setattr(found, name, value)
    return found


class Client:
    """A connected client that keeps what it gets."""

    def __init__(self, name, clean=True, expiry=0, will=None, **connect):
        clean_session = None if IS_5 else clean
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, name, clean_session=clean_session, protocol=VERSION
        )
        self.messages, self.granted, self.flags = [], [], None
        self.changed = threading.Condition()
        self.client.on_message = lambda _c, _u, message: self._add(self.messages, message)
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self._add(self.granted, codes)
        self.client.on_connect = self._connected
        if will:
            self.client.will_set(**will)
        arguments = {}
        if IS_5:
            arguments["clean_start"] = clean
            arguments["properties"] = properties(
                PacketTypes.CONNECT, SessionExpiryInterval=expiry, **connect
            )
        self.client.connect("127.0.0.1", PORT, 30, **arguments)
        self.client.loop_start()
        self._wait(lambda: self.flags is not None)

    def _connected(self, _client, _userdata, flags, reason, _properties):
        assert not reason.is_failure, reason
        with self.changed:
            self.flags = flags
            self.changed.notify_all()

    def _add(self, where, what):
        with self.changed:
            where.append(what)
            self.changed.notify_all()

    def _wait(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, LONG), "timed out"

    def subscribe(self, *arguments, **named):
        count = len(self.granted)
        self.client.subscribe(*arguments, **named)
        self._wait(lambda: len(self.granted) > count)
        return [code.value for code in self.granted[-1]]

    def publish(self, *arguments, **named):
        self.client.publish(*arguments, **named).wait_for_publish(LONG)

    def receive(self, count):
        """The first `count` messages, and no more so far."""
        self._wait(lambda: len(self.messages) >= count)
        assert len(self.messages) == count, [m.payload for m in self.messages]
        messages, self.messages = self.messages, []
        return messages

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()

    def die(self):
        self.client.loop_stop()
        self.client.socket().close()


def numbered_messages_arrive_in_order():
    subscriber, publisher = Client("sub"), Client("pub")
    for qos in (0, 1, 2):
        assert subscriber.subscribe(f"n/{qos}/#", qos) == [qos]
        # Fewer at QoS 0: paho's own socket loop drops none, but it is slow.
        for number in range(1_000):
            info = publisher.client.publish(f"n/{qos}/x", str(number), qos)
        info.wait_for_publish(LONG)
        got = [int(message.payload) for message in subscriber.receive(1_000)]
        assert got == list(range(1_000)), qos
    subscriber.leave()
    publisher.leave()


def retained_message_waits_for_a_late_subscriber_until_it_is_cleared():
    publisher = Client("pub")
    publisher.publish("kept", "x", 1, retain=True)
    late = Client("late")
    late.subscribe("kept", 1)
    (message,) = late.receive(1)
    assert message.retain and message.payload == b"x"
    publisher.publish("kept", "", 1, retain=True)
    assert not late.receive(1)[0].retain
    later = Client("later")
    later.subscribe("kept", 1)
    publisher.publish("kept", "live", 1)
    assert [m.payload for m in later.receive(1)] == [b"live"]
    for client in (publisher, late, later):
        client.leave()


def will_comes_when_its_client_dies_and_not_when_it_leaves():
    watcher = Client("watcher")
    watcher.subscribe("will/#", 1)
    Client("polite", will={"topic": "will/polite", "payload": "no", "qos": 1}).leave()
    Client("dying", will={"topic": "will/dying", "payload": "yes", "qos": 1}).die()
    assert [m.topic for m in watcher.receive(1)] == ["will/dying"]
    watcher.leave()


def session_is_resumed_with_what_was_queued_meanwhile():
    Client("durable").leave()
    away = Client("durable", clean=False, expiry=600)
    assert not away.flags.session_present
    away.subscribe("queue/#", 2)
    away.leave()
    publisher = Client("pub")
    for qos in (1, 2):
        for number in range(10):
            publisher.publish(f"queue/{qos}", str(number), qos)
    back = Client("durable", clean=False, expiry=600)
    assert back.flags.session_present or VERSION == mqtt.MQTTv31
    got = back.receive(20)
    for qos in (1, 2):
        numbers = [int(m.payload) for m in got if m.topic == f"queue/{qos}"]
        assert numbers == list(range(10)), numbers
    back.leave()
    Client("durable", clean=True).leave()
    publisher.leave()


def overlapping_filters_give_one_copy():
    subscriber, publisher = Client("sub"), Client("pub")
    for topic_filter, qos in (("o/#", 0), ("o/+", 2), ("o/a", 1)):
        subscriber.subscribe(topic_filter, qos)
    publisher.publish("o/a", "x", 2)
    publisher.publish("o/b/c", "last", 0)
    messages = subscriber.receive(2)
    assert [(m.payload, m.qos) for m in messages if m.topic == "o/a"] == [(b"x", 2)]
    subscriber.client.unsubscribe(["o/#", "o/+", "o/a"])
    subscriber.leave()
    publisher.leave()


def properties_travel_with_a_message():
    subscriber, publisher = Client("sub"), Client("pub")
    assert subscriber.subscribe("p", options=SubscribeOptions(qos=1)) == [1]
    sent = properties(
        PacketTypes.PUBLISH,
        ContentType="text/plain",
        ResponseTopic="answers",
        CorrelationData=b"7",
        UserProperty=[("a", "1"), ("a", "2")],
        MessageExpiryInterval=60,
        PayloadFormatIndicator=1,
    )
    publisher.publish("p", "x", 1, properties=sent)
    got = subscriber.receive(1)[0].properties
    assert (got.ContentType, got.ResponseTopic) == ("text/plain", "answers")
    assert (got.CorrelationData, got.PayloadFormatIndicator) == (b"7", 1)
    assert got.UserProperty == [("a", "1"), ("a", "2")]
    assert 58 <= got.MessageExpiryInterval <= 60
    subscriber.leave()
    publisher.leave()


def subscription_identifiers_and_options_are_kept():
    subscriber = Client("sub")
    identified = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=42)
    options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
    subscriber.subscribe("s", options=options, properties=identified)
    publisher = Client("pub")
    subscriber.publish("s", "own", 1)
    publisher.publish("s", "other", 1, retain=True)
    (message,) = subscriber.receive(1)
    assert message.payload == b"other" and message.retain
    assert message.properties.SubscriptionIdentifier == [42]
    never = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
    subscriber.subscribe("s", options=never)
    publisher.publish("s", "", 1, retain=True)
    assert [m.payload for m in subscriber.receive(1)] == [b""]
    subscriber.leave()
    publisher.leave()


def shared_subscription_gives_each_message_to_one_member():
    members = [Client(f"member-{number}") for number in range(2)]
    for member in members:
        assert member.subscribe("$share/group/job", 1) == [1]
    publisher = Client("pub")
    for number in range(200):
        publisher.publish("job", str(number), 1)
    with members[0].changed:
        members[0].changed.wait_for(
            lambda: sum(len(member.messages) for member in members) >= 200, LONG
        )
    got = [[int(m.payload) for m in member.messages] for member in members]
    assert all(got) and sorted(got[0] + got[1]) == list(range(200)), got
    for client in (*members, publisher):
        client.leave()


def narrow_client_gets_what_it_can_take():
    narrow = Client("narrow", ReceiveMaximum=1, MaximumPacketSize=200, TopicAliasMaximum=4)
    narrow.subscribe("w", options=SubscribeOptions(qos=2))
    publisher = Client("pub")
    publisher.publish("w", "x" * 500, 2)
    for number in range(100):
        publisher.publish("w", str(number), 2)
    assert [int(m.payload) for m in narrow.receive(100)] == list(range(100))
    narrow.leave()
    publisher.leave()


def will_is_delayed_and_dropped_when_its_client_is_back():
    watcher = Client("watcher")
    watcher.subscribe("later", 1)

    def doomed():
        delay = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=2)
        will = {"topic": "later", "payload": "gone", "qos": 1, "properties": delay}
        return Client("doomed", clean=False, expiry=60, will=will)

    doomed().die()
    back = doomed()
    back.publish("later", "back", 1)
    assert [m.payload for m in watcher.receive(1)] == [b"back"]
    back.die()
    assert [m.payload for m in watcher.receive(1)] == [b"gone"]
    Client("doomed").leave()
    watcher.leave()


OF_ALL = [
    numbered_messages_arrive_in_order,
    retained_message_waits_for_a_late_subscriber_until_it_is_cleared,
    will_comes_when_its_client_dies_and_not_when_it_leaves,
    session_is_resumed_with_what_was_queued_meanwhile,
    overlapping_filters_give_one_copy,
]
OF_5 = [
    properties_travel_with_a_message,
    subscription_identifiers_and_options_are_kept,
    shared_subscription_gives_each_message_to_one_member,
    narrow_client_gets_what_it_can_take,
    will_is_delayed_and_dropped_when_its_client_is_back,
]

for scenario in OF_ALL + (OF_5 if IS_5 else []):
    print(scenario.__name__, flush=True)
    scenario()
print("all hold")
