"""A paho-mqtt client that keeps what it gets, for the scenarios.

The command line says where the broker is: PORT VERSION TRANSPORT. VERSION is 31, 311 or 5, and
TRANSPORT is tcp, tls, ws or wss. The variable CA names the certificate to trust.
"""

import os
import socket
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PORT = int(sys.argv[1])
VERSION = {"31": mqtt.MQTTv31, "311": mqtt.MQTTv311, "5": mqtt.MQTTv5}[sys.argv[2]]
IS_WEBSOCKET = sys.argv[3] in ("ws", "wss")
CA = os.environ["CA"] if sys.argv[3] in ("tls", "wss") else None
IS_5 = VERSION == mqtt.MQTTv5
# Seconds for what usually takes a moment.
LONG = 20
# Seconds between two looks at what only time changes.
PAUSE = 0.1

# When any client has got something.
CHANGED = threading.Condition()


def properties(packet, **values):
    """Properties of a packet by their names in paho."""
    found = Properties(packet)
    for name, value in values.items():
        setattr(found, name, value)
    return found


def publish_properties(**values):
    """Properties of a PUBLISH."""
    return properties(PacketTypes.PUBLISH, **values)


def wait(condition):
    """Until the condition holds; it is tried whenever a client has got something."""
    with CHANGED:
        assert CHANGED.wait_for(condition, LONG), "timed out"


def cut(connection):
    """Breaks a socket of any transport; whoever reads from it learns that."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)


class Client:
    """A connected client that keeps what it gets."""

    def __init__(self, name, clean=True, expiry=0, will=None, keep_alive=30, **connect):
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            name,
            clean_session=None if IS_5 else clean,
            protocol=VERSION,
            transport="websockets" if IS_WEBSOCKET else "tcp",
            reconnect_on_failure=False,
        )
        self.messages, self.granted, self.unsubscribed, self.pongs = [], [], [], []
        self.connected, self.ended = [], []
        self._listen()
        if CA:
            self.client.tls_set(ca_certs=CA)
        if will:
            self.client.will_set(**will)
        arguments = {}
        if IS_5:
            arguments["clean_start"] = clean
            arguments["properties"] = properties(
                PacketTypes.CONNECT, SessionExpiryInterval=expiry, **connect
            )
        self.client.connect("127.0.0.1", PORT, keep_alive, **arguments)
        self.client.loop_start()
        wait(lambda: self.connected)
        self.flags, reason, self.announced = self.connected[0]
        assert not reason.is_failure, reason

    def _listen(self):
        client = self.client
        client.on_connect = lambda _c, _u, *what: self._add("connected", what)
        client.on_disconnect = lambda _c, _u, _f, reason, _p: self._add("ended", reason)
        client.on_message = lambda _c, _u, message: self._add("messages", message)
        client.on_subscribe = lambda _c, _u, _m, codes, _p: self._add("granted", codes)
        client.on_unsubscribe = lambda _c, _u, _m, codes, _p: self._add("unsubscribed", codes)
        # The only place where paho tells of PINGRESP.
        client.on_log = lambda _c, _u, _l, text: "PINGRESP" in text and self._add("pongs", text)

    def _add(self, where, what):
        with CHANGED:
            getattr(self, where).append(what)
            CHANGED.notify_all()

    def subscribe(self, *arguments, **named):
        """The granted QoS or reason codes."""
        count = len(self.granted)
        self.client.subscribe(*arguments, **named)
        wait(lambda: len(self.granted) > count)
        return [code.value for code in self.granted[-1]]

    def unsubscribe(self, *arguments):
        """Returns when it is acknowledged."""
        count = len(self.unsubscribed)
        self.client.unsubscribe(*arguments)
        wait(lambda: len(self.unsubscribed) > count)

    def publish(self, *arguments, **named):
        """Returns when it is acknowledged, at QoS 0 when it is written."""
        info = self.client.publish(*arguments, **named)
        info.wait_for_publish(LONG)
        assert info.is_published(), "timed out"

    def receive(self, count):
        """The first `count` messages, and no more so far."""
        with CHANGED:
            wait(lambda: len(self.messages) >= count)
            assert len(self.messages) == count, [m.payload for m in self.messages]
            messages, self.messages = self.messages, []
        return messages

    def until(self, topic):
        """All messages before the first of this topic, which must come."""
        with CHANGED:
            wait(lambda: any(message.topic == topic for message in self.messages))
            at = [message.topic for message in self.messages].index(topic)
            before, self.messages = self.messages[:at], self.messages[at + 1 :]
        return before

    def leave(self):
        """Ends with DISCONNECT."""
        self.client.disconnect()
        self.client.loop_stop()

    def die(self):
        """Ends without a word."""
        cut(self.client.socket())
        self.client.loop_stop()
