"""What paho-mqtt sees of a broker with MQTT 5 only; paho_scenarios.py runs it."""

import time

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions

from paho_client import PAUSE, Client, properties, publish_properties, wait


def identified(number):
    """Properties of a SUBSCRIBE with this subscription identifier."""
    return properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=number)


def properties_travel_with_a_message():
    subscriber, publisher = Client("sub"), Client("pub")
    assert subscriber.subscribe("p", options=SubscribeOptions(qos=1)) == [1]
    sent = publish_properties(
        ContentType="text/plain",
        ResponseTopic="answers",
        CorrelationData=b"7",
        UserProperty=[("a", "1"), ("a", "2")],
        MessageExpiryInterval=3_600,
        PayloadFormatIndicator=1,
    )
    publisher.publish("p", "x", 1, properties=sent)
    got = subscriber.receive(1)[0].properties
    assert (got.ContentType, got.ResponseTopic) == ("text/plain", "answers")
    assert (got.CorrelationData, got.PayloadFormatIndicator) == (b"7", 1)
    assert got.UserProperty == [("a", "1"), ("a", "2")]
    assert 3_500 <= got.MessageExpiryInterval <= 3_600
    subscriber.leave()
    publisher.leave()


def subscription_identifiers_and_options_are_kept():
    subscriber = Client("sub")
    options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
    subscriber.subscribe("s", options=options, properties=identified(42))
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
    watcher = Client("watcher-of-later")
    watcher.subscribe("later", 1)

    def doomed():
        delay = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=4)
        will = {"topic": "later", "payload": "gone", "qos": 1, "properties": delay}
        return Client("doomed", clean=False, expiry=60, will=will)

    doomed().die()
    back = doomed()
    back.publish("later", "back", 1)
    assert [m.payload for m in watcher.receive(1)] == [b"back"]
    back.die()
    assert [m.payload for m in watcher.receive(1)] == [b"gone"]
    watcher.leave()


def request_is_answered():
    asking, answering = Client("asking"), Client("answering")
    asking.subscribe("answers/asking", 1)
    answering.subscribe("question", 1)
    for number in (b"1", b"2"):
        asked = publish_properties(ResponseTopic="answers/asking", CorrelationData=number)
        asking.publish("question", "why", 1, properties=asked)
        got = answering.receive(1)[0].properties
        answer = publish_properties(CorrelationData=got.CorrelationData)
        answering.publish(got.ResponseTopic, "so", 1, properties=answer)
        assert asking.receive(1)[0].properties.CorrelationData == number
    asking.leave()
    answering.leave()


def message_expiry_counts_down_until_the_message_is_gone():
    client = Client("expiry")
    client.subscribe("seen", 1)

    def kept():
        client.subscribe("short", 1)
        client.publish("seen", "", 1)
        return [message.properties.MessageExpiryInterval for message in client.until("seen")]

    expiring = publish_properties(MessageExpiryInterval=6)
    client.publish("short", "x", 1, retain=True, properties=expiring)
    seen = []
    while found := kept():
        seen.extend(found)
        time.sleep(PAUSE)
    assert seen == sorted(seen, reverse=True) and 6 >= seen[0] > seen[-1] > 0, seen
    client.leave()


def alias_stands_for_its_topic():
    subscriber, publisher = Client("sub"), Client("pub")
    subscriber.subscribe("long/#", 1)
    assert publisher.announced.TopicAliasMaximum >= 2
    for topic, alias in (("long/a", 1), ("long/b", 2), ("", 1), ("", 2), ("long/c", 1), ("", 1)):
        publisher.publish(topic, "", 1, properties=publish_properties(TopicAlias=alias))
    got = [message.topic for message in subscriber.receive(6)]
    assert got == [f"long/{name}" for name in "ababcc"], got
    subscriber.leave()
    publisher.leave()


def message_names_each_subscription_that_it_matched():
    subscriber, publisher = Client("sub"), Client("pub")
    for number, topic_filter in ((1, "i/#"), (2, "i/+"), (268_435_455, "i/a"), (4, "other")):
        options = SubscribeOptions(qos=1)
        subscriber.subscribe(topic_filter, options=options, properties=identified(number))
    publisher.publish("i/a", "x", 1)
    (message,) = subscriber.receive(1)
    assert sorted(message.properties.SubscriptionIdentifier) == [1, 2, 268_435_455]
    subscriber.leave()
    publisher.leave()


def retain_handling_says_when_retained_messages_are_sent():
    client = Client("handling")
    client.subscribe("mark", 1)
    client.publish("h", "kept", 1, retain=True)

    def sent(handling):
        client.subscribe("h", options=SubscribeOptions(qos=1, retainHandling=handling))
        client.publish("mark", "", 1)
        return len(client.until("mark"))

    assert sent(SubscribeOptions.RETAIN_DO_NOT_SEND) == 0
    client.unsubscribe("h")
    assert sent(SubscribeOptions.RETAIN_SEND_IF_NEW_SUB) == 1
    assert sent(SubscribeOptions.RETAIN_SEND_IF_NEW_SUB) == 0
    assert sent(SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE) == 1
    client.publish("h", "", 1, retain=True)
    client.leave()


def too_large_packet_ends_its_connection():
    large = Client("large")
    large.client.publish("large", "x" * large.announced.MaximumPacketSize, 1)
    wait(lambda: large.ended)
    assert large.ended[0].value == 0x95, large.ended


OF_5 = [
    properties_travel_with_a_message,
    subscription_identifiers_and_options_are_kept,
    narrow_client_gets_what_it_can_take,
    request_is_answered,
    alias_stands_for_its_topic,
    message_names_each_subscription_that_it_matched,
    retain_handling_says_when_retained_messages_are_sent,
    too_large_packet_ends_its_connection,
]
WAITING_OF_5 = [
    will_is_delayed_and_dropped_when_its_client_is_back,
    message_expiry_counts_down_until_the_message_is_gone,
]
