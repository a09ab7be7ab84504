"""One Centrifuge connection: WebSocket messages to commands, commands to the session and the desk.

The first message must be ``connect`` with a token, within ``STALE_AFTER_S``. Commands of one
connection are handled one after the other; answers and pushes share its bounded buffer. A push is
refused when the buffer is full; an answer makes the next command wait until there is room.
"""

import trio
from trio_websocket import ConnectionClosed

from evorelay import __version__
from evorelay.edge.auth import Authenticator
from evorelay.edge.framestream import FrameStream
from evorelay.edge.rpc import Rpc
from evorelay.edge.ws_connection import Connection
from evorelay.model.clock import NowMs
from evorelay.model.close import Close
from evorelay.model.errors import Code, Refusal, StoreUnavailable
from evorelay.model.ids import NewId
from evorelay.model.principal import Principal
from evorelay.protocol import centrifuge as wire
from evorelay.relay.channel_session import ChannelSession
from evorelay.relay.feed import AnyFeed, Feed, State
from evorelay.relay.hub import Hub
from evorelay.relay.session import Engine, Position, Session
from evorelay.relay.sessions import PING_EVERY_S, Sessions

STALE_AFTER_S = 10.0
HISTORY_MAX = 1000
DIALECT = wire.CentrifugeDialect()
_UNSUBSCRIBED_FORBIDDEN = 2000
"""Below 2500: the SDK drops the subscription instead of trying again."""


class CentrifugeEdge:
    """Serves connections; one per daemon."""

    def __init__(
        self,
        engine: Engine,
        sessions: Sessions,
        rpc: Rpc,
        authenticator: Authenticator,
        *,
        new_id: NewId,
        now: NowMs,
    ) -> None:
        self.engine = engine
        self.sessions = sessions
        self.rpc = rpc
        self.authenticator = authenticator
        self.new_id = new_id
        self.now = now

    async def serve(
        self, ws: Connection, stream: FrameStream, *, trusted: Principal | None
    ) -> Close | None:
        """Serve an accepted WebSocket until it ends; returns the reason to close it with.

        ``trusted`` is who a connection without a token is (``auth.mode = "open"``), if anybody.
        """
        connection = _Connection(self, ws, stream, trusted)
        try:
            return await connection.serve()
        except (ConnectionClosed, trio.BrokenResourceError):
            return None
        finally:
            connection.leave()


class _Connection:
    def __init__(
        self,
        edge: CentrifugeEdge,
        ws: Connection,
        stream: FrameStream,
        trusted: Principal | None,
    ) -> None:
        self._edge = edge
        self._ws = ws
        self._stream = stream
        self._trusted = trusted
        self._session: ChannelSession | None = None

    async def serve(self) -> Close | None:
        sessions = self._edge.sessions
        with trio.move_on_after(STALE_AFTER_S) as patience, sessions.stranger(patience):
            try:
                commands = wire.decode_commands(await self._ws.get_message())
            except ValueError:
                return Close.BAD_REQUEST
        if patience.cancelled_caught:
            return Close.SHUTDOWN if sessions.is_closing else Close.STALE
        first = commands.pop(0) if commands else wire.Command()
        if first.connect is None or first.id <= 0:
            return Close.BAD_REQUEST
        try:
            session = await self._connect(first.id, first.connect)
        except Refusal as refusal:
            if refusal.code not in (Code.TOKEN_EXPIRED, Code.UNAVAILABLE):
                return Close.INVALID_TOKEN
            self._stream.push(_failure(first.id, refusal))
            return await self._wait_for_retry()
        self._ws.admit()
        with session.scope:
            while True:
                for command in commands:
                    session.last_heard_at = trio.current_time()
                    reason = await self._handle(session, command)
                    if reason is not None:
                        return reason
                try:
                    commands = wire.decode_commands(await self._ws.get_message())
                except ValueError:
                    return Close.BAD_REQUEST
                session.last_heard_at = trio.current_time()
        return session.close_reason

    async def _wait_for_retry(self) -> Close | None:
        """After such an error the SDK closes by itself and returns, with a new token if need be."""
        sessions = self._edge.sessions
        with trio.move_on_after(STALE_AFTER_S) as patience, sessions.stranger(patience):
            while True:
                await self._ws.get_message()
        return Close.SHUTDOWN if sessions.is_closing else Close.STALE

    async def _connect(self, command_id: int, request: wire.ConnectRequest) -> ChannelSession:
        if request.token or self._trusted is None:
            principal = await self._edge.authenticator.authenticate(request.token)
        else:
            principal = self._trusted
        session = ChannelSession(
            self._edge.new_id(), principal, DIALECT, self._stream, self._edge.engine
        )
        self._stream.sender = session
        expires, ttl = self._expiry(principal)
        result = wire.ConnectResult(
            client=session.id,
            version=f"evorelay {__version__}",
            expires=expires,
            ttl=ttl,
            ping=int(PING_EVERY_S),
            pong=True,
            data={"user": principal.sub, "role": principal.role},
        )
        self._session = session
        self._stream.push(wire.encode_reply(command_id, "connect", result))
        self._edge.sessions.add(session)
        return session

    def leave(self) -> None:
        """The connection is over: feeds and session are gone when this returns."""
        session = self._session
        if session is not None:
            self._edge.sessions.remove(session)
            for feed in session.leave():
                self._tell_membership(feed, "leave")

    async def _handle(self, session: ChannelSession, command: wire.Command) -> Close | None:
        """Answer one command; returns a reason when the connection must end."""
        if command.send is not None:
            return None
        if not command.id:
            # ``{}`` is the answer to our ping; it was heard, which is all it is for.
            return None if command == wire.Command() else Close.BAD_REQUEST
        if command.connect is not None:
            return Close.BAD_REQUEST
        try:
            if command.subscribe is not None:
                await self._subscribe(session, command.id, command.subscribe)
                return None
            answer = await self._answer(session, command)
        except Refusal as refusal:
            if command.refresh is not None and refusal.code is Code.UNAUTHORIZED:
                return Close.INVALID_TOKEN
            answer = _failure(command.id, refusal)
        except StoreUnavailable:
            answer = wire.encode_error(command.id, wire.Error.INTERNAL)
        await self._stream.send_all(answer)
        return None

    async def _answer(self, session: ChannelSession, command: wire.Command) -> bytes:
        id_ = command.id
        if command.unsubscribe is not None:
            feed = session.unsubscribe(command.unsubscribe.channel)
            if feed is not None:
                self._tell_membership(feed, "leave")
            return wire.encode_reply(id_, "unsubscribe", wire.Empty())
        if command.rpc is not None:
            data = await self._edge.rpc.call(session, command.rpc.method, command.rpc.data)
            return wire.encode_reply(id_, "rpc", wire.RpcResult(data))
        if command.presence is not None:
            present = await self._present(session, command.presence.channel)
            return wire.encode_reply(
                id_, "presence", wire.PresenceResult({info.client: info for info in present})
            )
        if command.presence_stats is not None:
            present = await self._present(session, command.presence_stats.channel)
            users = {info.user for info in present}
            return wire.encode_reply(
                id_, "presence_stats", wire.PresenceStatsResult(len(present), len(users))
            )
        if command.history is not None:
            return await self._history(session, id_, command.history)
        if command.refresh is not None:
            return await self._refresh(session, id_, command.refresh)
        if command.ping is not None:
            return wire.encode_reply(id_, "ping", wire.Empty())
        if command.publish is not None:
            return wire.encode_error(id_, wire.Error.PERMISSION_DENIED)
        return wire.encode_error(id_, wire.Error.METHOD_NOT_FOUND)

    async def _subscribe(
        self, session: ChannelSession, id_: int, request: wire.SubscribeRequest
    ) -> None:
        if request.channel in session.feeds:
            await self._stream.send_all(wire.encode_error(id_, wire.Error.ALREADY_SUBSCRIBED))
            return
        since = Position(request.offset, request.epoch) if request.recover else None
        subscription = await session.subscribe(
            request.channel, since, wants_membership=request.join_leave
        )
        result = wire.SubscribeResult(
            recoverable=True,
            positioned=True,
            epoch=subscription.position.epoch,
            offset=subscription.position.offset,
            was_recovering=request.recover,
            recovered=subscription.recovered,
            publications=wire.publications(subscription.missed),
        )
        # The feed is told nothing before ``answered``: first the answer, then the next event.
        await self._stream.send_all(wire.encode_reply(id_, "subscribe", result))
        session.answered(subscription)
        self._tell_membership(subscription.feed, "join")

    async def _history(
        self, session: ChannelSession, id_: int, request: wire.HistoryRequest
    ) -> bytes:
        epoch = self._edge.engine.epoch
        since = request.since
        if since is not None and since.epoch and since.epoch != epoch:
            return wire.encode_error(id_, wire.Error.UNRECOVERABLE_POSITION)
        position = None if since is None else Position(since.offset, epoch)
        limit = HISTORY_MAX if request.limit < 0 else min(request.limit, HISTORY_MAX)
        page = await session.history(
            request.channel, since=position, limit=limit, reverse=request.reverse
        )
        if (
            limit
            and position is not None
            and not request.reverse
            and page.floor > position.offset + 1
            and page.head > position.offset
        ):
            return wire.encode_error(id_, wire.Error.UNRECOVERABLE_POSITION)
        result = wire.HistoryResult(epoch, page.head, wire.publications(page.events))
        return wire.encode_reply(id_, "history", result)

    async def _refresh(
        self, session: ChannelSession, id_: int, request: wire.RefreshRequest
    ) -> bytes:
        principal = await self._edge.authenticator.authenticate(request.token)
        if principal.sub != session.principal.sub:
            raise Refusal(Code.UNAUTHORIZED, "the token is another agent's; connect anew with it")
        for feed in await session.renew(principal):
            session.push(
                wire.encode_unsubscribed(feed.channel, _UNSUBSCRIBED_FORBIDDEN, "permission denied")
            )
            self._tell_membership(feed, "leave")
        expires, ttl = self._expiry(principal)
        result = wire.RefreshResult(session.id, f"evorelay {__version__}", expires, ttl)
        return wire.encode_reply(id_, "refresh", result)

    async def _present(self, session: ChannelSession, channel: str) -> list[wire.ClientInfo]:
        if not await session.may_watch(channel):
            raise Refusal(Code.FORBIDDEN, "no such channel, or not yours")
        feeds = self._edge.engine.hub.feeds(channel)
        return [info_of(feed) for feed in feeds if feed.state is not State.OPENING]

    def _tell_membership(self, feed: Feed, kind: str) -> None:
        frame: bytes | None = None
        hub: Hub = self._edge.engine.hub
        for other in hub.feeds(feed.channel):
            if other is not feed and other.wants_membership:
                frame = frame or wire.encode_membership(feed.channel, kind, info_of(feed))
                other.receiver.push(frame)

    def _expiry(self, principal: Principal) -> tuple[bool, int]:
        if principal.expires_at is None:
            return False, 0
        return True, max(1, principal.expires_at - self._edge.now() // 1000)


def info_of(feed: AnyFeed) -> wire.ClientInfo:
    session = feed.receiver
    assert isinstance(session, Session)
    name = session.principal.name
    return wire.ClientInfo(session.principal.sub, session.id, {"name": name} if name else None)


def _failure(id_: int, refusal: Refusal) -> bytes:
    code = refusal.code
    if code is Code.TOKEN_EXPIRED:
        return wire.encode_error(id_, wire.Error.TOKEN_EXPIRED)
    if code is Code.UNAVAILABLE:
        return wire.encode_error(id_, wire.Error.INTERNAL)
    if code is Code.FORBIDDEN:
        return wire.encode_error(id_, wire.Error.PERMISSION_DENIED)
    return wire.encode_failure(id_, code.rpc_code, f"{code.code}: {refusal.message}")
