"""``instance/*``: which there are, how they are connected, and having them connect."""

from collections.abc import Mapping
from typing import Any

from evorelay.simulator.connections import Connections
from evorelay.simulator.rest.call import Call, RestError
from evorelay.simulator.rest.wire import Answer, as_json
from evorelay.simulator.station import Station

Row = dict[str, Any]


class Instances:
    def __init__(self, stations: Mapping[str, Station], connections: Connections) -> None:
        self._stations = stations
        self._connections = connections

    async def root(self) -> Answer:
        """Needs no key. Where versions are mixed, which no real server does: the first one's."""
        version = next(iter(self._stations.values())).dialect.version
        return as_json(
            {
                "status": 200,
                "message": "Welcome to the Evolution API, it is working!",
                "version": version,
                "clientName": "evolution",
                "manager": "http://localhost:8080/manager",
                "documentation": "https://doc.evolution-api.com",
                "whatsappWebVersion": "2.3000.1027934701",
            }
        )

    async def fetch(self, wanted: str | None) -> Answer:
        if wanted is not None and wanted not in self._stations:
            raise RestError(404, [f'Instance "{wanted}" not found'])
        stations = self._stations.values()
        return as_json([_row(s) for s in stations if wanted in (None, s.instance.name)])

    async def state(self, call: Call) -> Answer:
        return as_json(_state(call.station))

    async def connect(self, call: Call) -> Answer:
        """Paired: it connects by itself and there is nothing to scan."""
        station = call.station
        if station.state == "open" or not station.dialect.links_a_phone:
            return as_json(_state(station))
        if station.is_paired:
            await self._connections.reopen(station)
            return as_json({"count": 0})
        code = await self._connections.show_code(station)
        told = {name: code.get(name) for name in ("pairingCode", "code", "base64")}
        return as_json(told | {"count": station.qr_codes})

    async def restart(self, call: Call) -> Answer:
        station = call.station
        if station.condition == "not loaded":
            raise RestError(500, "Cannot read properties of undefined (reading 'client')")
        await self._connections.reopen(station)
        return as_json(_state(station))

    async def logout(self, call: Call) -> Answer:
        if call.station.state == "close":
            name = call.station.instance.name
            raise RestError(400, [f'The "{name}" instance is not connected'])
        await self._connections.log_out(call.station)
        said = {"message": "Instance logged out"}
        return as_json({"status": "SUCCESS", "error": False, "response": said})


def _state(station: Station) -> Row:
    named = {"instanceName": station.instance.name}
    if station.condition == "not loaded":
        return {"instance": named}
    return {"instance": named | {"state": station.state}}


def _row(station: Station) -> Row:
    instance = station.instance
    if station.dialect.version == "1.8.2":
        v1_row = {
            "instanceName": instance.name,
            "instanceId": instance.id,
            "owner": instance.jid,
            "profileName": instance.profile,
            "profileStatus": "",
            "status": station.state,
            "apikey": instance.token,
        }
        return {"instance": v1_row}
    return {
        "id": instance.id,
        "name": instance.name,
        "connectionStatus": station.state,
        "ownerJid": instance.jid if station.dialect.links_a_phone else None,
        "profileName": instance.profile,
        "profilePicUrl": None,
        "integration": station.dialect.integration,
        "number": instance.number,
        "token": instance.token,
        "clientName": "evolution",
    }
