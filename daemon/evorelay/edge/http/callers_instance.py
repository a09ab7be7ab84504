"""Which WhatsApp instance a request is about, where it names one in words of Evolution's (P7)."""

from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal
from evorelay.relay.desk import Desk
from evorelay.relay.gateway import Gateway
from evorelay.relay.questions import NoParams


class CallersInstance:
    def __init__(self, desk: Desk, gateway: Gateway) -> None:
        self._desk = desk
        self._gateway = gateway

    async def named(self, who: Principal, name: str) -> str:
        """The instance, if it exists and is the caller's; an unknown and a foreign one are alike.

        It exists if a webhook, the configuration, or the caller's own token names it: the first
        thing a new instance does may be to send.
        """
        if who.may_see(name):
            granted = frozenset[str]() if who.instances == "*" else who.instances
            if name in granted or name in await self._all(who):
                return name
        raise Refusal(Code.NOT_FOUND, "there is no such instance")

    async def only(self, who: Principal) -> str:
        """The caller's one instance, for requests that name none."""
        if who.role is None:
            raise Refusal(Code.FORBIDDEN, "this token grants nothing here")
        names = sorted(await self._all(who) if who.sees_all else who.instances)
        if len(names) != 1:
            raise Refusal(
                Code.BAD_REQUEST,
                "instance: say which one; "
                + (f"yours are {', '.join(names[:20])}" if names else "there is none yet"),
            )
        return names[0]

    async def _all(self, who: Principal) -> set[str]:
        page = await self._desk.instances_list(who, NoParams())
        return {*self._gateway.instances(), *(instance.name for instance in page.instances)}
