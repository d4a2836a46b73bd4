"""What aiomqtt sees of a broker: python aiomqtt_scenarios.py PORT."""

import asyncio
import sys

import aiomqtt

PORT = int(sys.argv[1])


def client(name):
    return aiomqtt.Client("127.0.0.1", PORT, identifier=name, protocol=aiomqtt.ProtocolVersion.V5)


async def take(messages, count):
    return [await anext(messages) for _ in range(count)]


async def many_clients_talk_at_once():
    async def talk(number):
        async with client(f"a-{number}") as one, client(f"b-{number}") as other:
            await one.subscribe(f"to/a/{number}", qos=1)
            await other.subscribe(f"to/b/{number}", qos=2)
            for turn in range(20):
                await other.publish(f"to/a/{number}", str(turn), qos=2)
                await one.publish(f"to/b/{number}", str(turn), qos=1)
            for messages in (one.messages, other.messages):
                got = await take(aiter(messages), 20)
                assert [int(message.payload) for message in got] == list(range(20))

    await asyncio.gather(*(talk(number) for number in range(25)))


async def will_comes_when_its_client_is_cancelled():
    async with client("watcher") as watcher:
        await watcher.subscribe("will", qos=1)
        will = aiomqtt.Will("will", "gone", qos=1)
        dying = aiomqtt.Client("127.0.0.1", PORT, identifier="dying", will=will)
        await dying.__aenter__()
        dying._client.socket().close()
        (message,) = await take(aiter(watcher.messages), 1)
        assert message.payload == b"gone"


async def main():
    for scenario in (many_clients_talk_at_once, will_comes_when_its_client_is_cancelled):
        print(scenario.__name__, flush=True)
        await asyncio.wait_for(scenario(), 60)
    print("all hold")


asyncio.run(main())
