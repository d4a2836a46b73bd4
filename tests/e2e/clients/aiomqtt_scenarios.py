"""What aiomqtt sees of a broker: python aiomqtt_scenarios.py PORT VERSION TRANSPORT.

The arguments are those of paho_client.py; TRANSPORT is tcp or ws.
"""

import asyncio

import aiomqtt
from paho.mqtt.packettypes import PacketTypes

from paho_client import IS_5, IS_WEBSOCKET, PORT, VERSION
from paho_client import cut, properties, publish_properties


def client(name, **options):
    """To be connected by `async with`."""
    return aiomqtt.Client(
        "127.0.0.1",
        PORT,
        identifier=name,
        protocol=aiomqtt.ProtocolVersion(VERSION),
        transport="websockets" if IS_WEBSOCKET else "tcp",
        websocket_path="/mqtt" if IS_WEBSOCKET else None,
        **options,
    )


def lasting():
    """Options of a client whose session outlives its connection."""
    if IS_5:
        expiry = properties(PacketTypes.CONNECT, SessionExpiryInterval=600)
        return {"clean_start": False, "properties": expiry}
    return {"clean_session": False}


async def take(client, count):
    messages = aiter(client.messages)
    return [await anext(messages) for _ in range(count)]


async def numbered_messages_arrive_in_order():
    async with client("sub") as subscriber, client("pub") as publisher:
        for qos in (0, 1, 2):
            await subscriber.subscribe(f"n/{qos}", qos=qos)
            for number in range(1_000):
                await publisher.publish(f"n/{qos}", str(number), qos=qos)
            got = await take(subscriber, 1_000)
            assert [int(message.payload) for message in got] == list(range(1_000)), qos


async def many_clients_talk_at_once():
    async def talk(number):
        async with client(f"a-{number}") as one, client(f"b-{number}") as other:
            await one.subscribe(f"to/a/{number}", qos=1)
            await other.subscribe(f"to/b/{number}", qos=2)
            for turn in range(20):
                await other.publish(f"to/a/{number}", str(turn), qos=2)
                await one.publish(f"to/b/{number}", str(turn), qos=1)
            for listener in (one, other):
                got = await take(listener, 20)
                assert [int(message.payload) for message in got] == list(range(20))

    await asyncio.gather(*(talk(number) for number in range(25)))


async def will_comes_when_its_client_dies():
    async with client("watcher") as watcher:
        await watcher.subscribe("will", qos=1)
        try:
            async with client("dying", will=aiomqtt.Will("will", "gone", qos=1)) as dying:
                cut(dying._client.socket())
                await take(dying, 1)
        except aiomqtt.MqttError:
            pass
        (message,) = await take(watcher, 1)
        assert message.payload == b"gone"


async def retained_message_waits_until_it_is_cleared():
    async with client("pub") as publisher, client("late") as late:
        await publisher.publish("kept", "x", qos=1, retain=True)
        await late.subscribe("kept", qos=1)
        (message,) = await take(late, 1)
        assert message.retain and message.payload == b"x"
        await publisher.publish("kept", "", qos=1, retain=True)
        await take(late, 1)
        async with client("later") as later:
            await later.subscribe("kept", qos=1)
            await publisher.publish("kept", "live", qos=1)
            (message,) = await take(later, 1)
            assert message.payload == b"live"


async def session_is_resumed_with_what_was_queued_meanwhile():
    async with client("durable", **lasting()) as away:
        await away.subscribe("queue", qos=2)
    async with client("pub") as publisher:
        for number in range(20):
            await publisher.publish("queue", str(number), qos=1 + number % 2)
    async with client("durable", **lasting()) as back:
        got = sorted(int(message.payload) for message in await take(back, 20))
        assert got == list(range(20)), got


async def shared_subscription_gives_each_message_to_one_member():
    got = []

    async def work(member, name):
        async for message in member.messages:
            got.append((name, int(message.payload)))
            if len(got) == 200:
                return

    async with client("one") as one, client("two") as two, client("pub") as publisher:
        working = []
        for member, name in ((one, "one"), (two, "two")):
            await member.subscribe("$share/group/job", qos=1)
            working.append(asyncio.create_task(work(member, name)))
        for number in range(200):
            await publisher.publish("job", str(number), qos=1)
        await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        for task in working:
            task.cancel()
    assert {name for name, _ in got} == {"one", "two"}
    assert sorted(number for _, number in got) == list(range(200))


async def request_is_answered_with_its_properties():
    async with client("asking") as asking, client("answering") as answering:
        await asking.subscribe("answers", qos=1)
        await answering.subscribe("question", qos=1)
        asked = publish_properties(
            ResponseTopic="answers",
            CorrelationData=b"7",
            ContentType="text/plain",
            UserProperty=[("a", "1"), ("a", "2")],
        )
        await asking.publish("question", "why", qos=1, properties=asked)
        (question,) = await take(answering, 1)
        got = question.properties
        assert got.ContentType == "text/plain" and got.UserProperty == [("a", "1"), ("a", "2")]
        answer = publish_properties(CorrelationData=got.CorrelationData)
        await answering.publish(got.ResponseTopic, "so", qos=1, properties=answer)
        (message,) = await take(asking, 1)
        assert (message.payload, message.properties.CorrelationData) == (b"so", b"7")


OF_ALL = [
    numbered_messages_arrive_in_order,
    many_clients_talk_at_once,
    will_comes_when_its_client_dies,
    retained_message_waits_until_it_is_cleared,
    session_is_resumed_with_what_was_queued_meanwhile,
    shared_subscription_gives_each_message_to_one_member,
]
OF_5 = [request_is_answered_with_its_properties]


async def main():
    for scenario in OF_ALL + (OF_5 if IS_5 else []):
        print(scenario.__name__, flush=True)
        await asyncio.wait_for(scenario(), 240)
    print("all hold")


asyncio.run(main())
