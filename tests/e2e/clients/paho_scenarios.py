"""What paho-mqtt sees of a broker: python paho_scenarios.py PORT VERSION TRANSPORT.

Each scenario is a function with assertions; the first that fails ends the run. See paho_client.py
for the arguments and paho_scenarios_5.py for what only MQTT 5 has.
"""

from concurrent.futures import ThreadPoolExecutor

from paho_client import IS_5, LONG, VERSION, Client, mqtt, wait
from paho_scenarios_5 import OF_5, WAITING_OF_5


def numbered_messages_arrive_in_order():
    subscriber, publisher = Client("sub"), Client("pub")
    for qos in (0, 1, 2):
        assert subscriber.subscribe(f"n/{qos}/#", qos) == [qos]
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
    publisher.leave()


def overlapping_filters_give_one_copy():
    subscriber, publisher = Client("sub"), Client("pub")
    for topic_filter, qos in (("o/#", 0), ("o/+", 2), ("o/a", 1)):
        subscriber.subscribe(topic_filter, qos)
    publisher.publish("o/a", "x", 2)
    publisher.publish("o/b/c", "last", 0)
    messages = subscriber.receive(2)
    assert [(m.payload, m.qos) for m in messages if m.topic == "o/a"] == [(b"x", 2)]
    subscriber.leave()
    publisher.leave()


def shared_subscription_gives_each_message_to_one_member():
    members = [Client(f"member-{number}") for number in range(2)]
    for member in members:
        assert member.subscribe("$share/group/job", 1) == [1]
    publisher = Client("pub")
    for number in range(200):
        publisher.publish("job", str(number), 1)
    wait(lambda: sum(len(member.messages) for member in members) >= 200)
    got = [[int(m.payload) for m in member.messages] for member in members]
    assert all(got) and sorted(got[0] + got[1]) == list(range(200)), got
    for client in (*members, publisher):
        client.leave()


def unsubscribed_topic_comes_no_more():
    subscriber, publisher = Client("sub"), Client("pub")
    subscriber.subscribe([("u/gone", 1), ("u/kept", 1)])
    publisher.publish("u/gone", "before", 1)
    assert subscriber.receive(1)[0].payload == b"before"
    subscriber.unsubscribe(["u/gone", "u/never"])
    publisher.publish("u/gone", "after", 1)
    publisher.publish("u/kept", "last", 1)
    assert [m.payload for m in subscriber.receive(1)] == [b"last"]
    subscriber.leave()
    publisher.leave()


def idle_client_stays_by_pinging():
    idle = Client("idle", keep_alive=4)
    wait(lambda: len(idle.pongs) >= 2)
    idle.subscribe("idle", 1)
    idle.publish("idle", "here", 1)
    assert idle.receive(1)[0].payload == b"here"
    assert len(idle.connected) == 1 and not idle.ended
    idle.leave()


def newer_connection_displaces_the_older_of_the_same_id():
    older, newer = Client("twin"), Client("twin")
    wait(lambda: older.ended)
    if IS_5:
        assert older.ended[0].value == 0x8E, older.ended
    newer.subscribe("twin", 1)
    newer.publish("twin", "here", 1)
    assert newer.receive(1)[0].payload == b"here"
    newer.leave()


SCENARIOS = [
    numbered_messages_arrive_in_order,
    retained_message_waits_for_a_late_subscriber_until_it_is_cleared,
    will_comes_when_its_client_dies_and_not_when_it_leaves,
    session_is_resumed_with_what_was_queued_meanwhile,
    overlapping_filters_give_one_copy,
    unsubscribed_topic_comes_no_more,
    newer_connection_displaces_the_older_of_the_same_id,
    *(OF_5 if IS_5 else []),
    shared_subscription_gives_each_message_to_one_member,
]
# They mostly wait, so they run beside the others; their client ids and topics are their own. Their
# times let a busy machine stand still for two seconds.
WAITING = [idle_client_stays_by_pinging, *(WAITING_OF_5 if IS_5 else [])]


def run(scenario):
    print(scenario.__name__, flush=True)
    scenario()


with ThreadPoolExecutor() as pool:
    waiting = [pool.submit(run, scenario) for scenario in WAITING]
    for scenario in SCENARIOS:
        run(scenario)
    for scenario in waiting:
        scenario.result()
print("all hold")
