"""Taking webhooks in: credential, size, JSON, journal, answer (contract §3).

Evolution drops an event for good on 400, 401, 403, 404 and 422 and retries everything else, so
these are answered only where a retry could never help; whatever may pass is 503.
"""

import logging
from collections.abc import AsyncIterator

import msgspec
from msgspec import Raw, Struct

from evorelay.config import WebhookConfig
from evorelay.model.clock import NowMs
from evorelay.model.envelope import Envelope
from evorelay.model.errors import RETRY_AFTER_S, Code, JournalUnavailable, Refusal, StoreUnavailable
from evorelay.protocol.peers import Headers
from evorelay.protocol.webhook import Body, WebhookPath, has_lone_surrogate, labels, read_body
from evorelay.protocol.webhook_auth import Verdict, WebhookGate
from evorelay.relay.blobs import BlobStore
from evorelay.relay.bulky import Bulky, bulky_turns, take_bulky
from evorelay.relay.journal import Journal
from evorelay.relay.refusal_log import RefusalLog
from evorelay.telemetry.metrics import Metrics

_encode = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class Answer(Struct, frozen=True):
    """What the sender is told. ``close`` ends the connection: its body was not read."""

    status: int
    body: bytes
    retry_after_s: int | None = None
    close: bool = False


class Ingest:
    def __init__(
        self,
        config: WebhookConfig,
        journal: Journal,
        blobs: BlobStore,
        metrics: Metrics,
        *,
        now: NowMs,
    ) -> None:
        self._gate = WebhookGate(config)
        self._max_body_bytes = config.max_body_bytes
        self._journal = journal
        self._blobs = blobs
        self._metrics = metrics
        self._now = now
        self._turns = bulky_turns()
        self._refusals = RefusalLog("webhook")

    def refuse(
        self,
        path: WebhookPath,
        headers: Headers,
        *,
        peer: str | None,
        forwarded: bool,
        length: int | None,
    ) -> Answer | None:
        """Judge a webhook by its head alone; None lets its body in.

        ``length`` is ``Content-Length``, None for a chunked body.
        """
        verdict = self._gate.check(
            path_secret=path.secret,
            headers=headers,
            peer=peer,
            forwarded=forwarded,
            now=self._now(),
        )
        if not verdict.accepted:
            return self._unauthorized(verdict, peer)
        if length is not None and length > self._max_body_bytes:
            return self._too_large()
        reason = self._journal.refusal
        if reason is not None:
            return self._unavailable(reason)
        return None

    async def take(self, path: WebhookPath, raw: bytes) -> Answer:
        """Take a body that is in memory. The answer 200 means that it is fsynced (P1)."""
        try:
            body = read_body(raw, path_event=path.event)
        except ValueError as error:
            return self._not_json(str(error))
        except RecursionError:
            return await self.take_streamed(path, _whole(raw))
        return await self._submit(body, None)

    async def take_streamed(self, path: WebhookPath, chunks: AsyncIterator[bytes]) -> Answer:
        """Take a body of any size in a few MiB of memory; media goes to the blob store.

        Raises whatever ``chunks`` raises. When cancelled, nothing is acknowledged.
        """
        try:
            bulky = await take_bulky(
                chunks, self._blobs, max_bytes=self._max_body_bytes, turns=self._turns
            )
            if bulky.body_blob is not None:
                found = await self._blobs.examine(bulky.body_blob, _examine)
                body = Body(*(found or ("", "")), b"")
                body = msgspec.structs.replace(body, event=body.event or path.event)
            else:
                body = _read_scanned(bulky.body, path.event)
            if not await self._renewed(bulky):
                return self._unavailable("a file of the webhook was removed while it came in")
        except Refusal:
            return self._too_large()
        except ValueError as error:
            return self._not_json(str(error))
        except (JournalUnavailable, StoreUnavailable) as error:
            return self._unavailable(str(error))
        return await self._submit(body, bulky.body_blob)

    async def _renewed(self, bulky: Bulky) -> bool:
        """Whether all files of a body are here, young again: it may have been days on its way, and
        what a journal entry names is no older than the entry (relay/collecting.py)."""
        named = [*bulky.blobs, *filter(None, [bulky.body_blob])]
        return all([await self._blobs.renew(blob) is not None for blob in named])

    async def _submit(self, body: Body, body_blob: str | None) -> Answer:
        envelope = Envelope(
            received_at=self._now(),
            event=body.event,
            instance=body.instance,
            body=body.json,
            body_blob=body_blob,
        )
        try:
            seq = await self._journal.submit(envelope)
        except JournalUnavailable as error:
            return self._unavailable(str(error))
        return Answer(
            200,
            b'{"received":true,"seq":%d,"event":%s,"instance":%s}'
            % (seq, _encode(body.event), _encode(body.instance)),
        )

    def answered(self, answer: Answer, seconds: float) -> None:
        """Count an answer that was sent, ``seconds`` after its request was known."""
        self._metrics.webhook_answered(answer.status, seconds)

    def _unauthorized(self, verdict: Verdict, peer: str | None) -> Answer:
        self._metrics.webhook_refused("unauthorized")
        self._refusals.note(
            logging.ERROR,
            verdict.value,
            peer=peer,
            advice="Evolution drops what is answered 401 for good: compare its webhook URL with"
            " `evorelay urls`",
        )
        return _error(
            Code.UNAUTHORIZED,
            f"{verdict.value}: post to the URL that `evorelay urls` prints",
            close=True,
        )

    def _too_large(self) -> Answer:
        self._metrics.webhook_refused("too_large")
        self._refusals.note(
            logging.ERROR,
            f"larger than webhook.max_body_bytes ({self._max_body_bytes})",
            peer=None,
            advice="raise it, or switch base64 off in Evolution's webhook settings",
        )
        return _error(
            Code.TOO_LARGE,
            f"at most {self._max_body_bytes} bytes (webhook.max_body_bytes)",
            close=True,
        )

    def _not_json(self, message: str) -> Answer:
        self._metrics.webhook_refused("not_json")
        self._refusals.note(
            logging.WARNING, message, peer=None, advice="Evolution does not send such a body"
        )
        return _error(Code.NOT_JSON, message)

    def _unavailable(self, reason: str) -> Answer:
        self._metrics.webhook_refused("unavailable")
        self._refusals.note(
            logging.ERROR, reason, peer=None, advice="Evolution retries for about 20 minutes"
        )
        return msgspec.structs.replace(
            _error(Code.UNAVAILABLE, reason), retry_after_s=RETRY_AFTER_S
        )


def _error(code: Code, message: str, *, close: bool = False) -> Answer:
    body = _encode({"error": {"code": code.code, "message": message}})
    return Answer(code.http_status, body, close=close)


def _read_scanned(residual: bytes, path_event: str) -> Body:
    """Like ``read_body``, for what the scanner left; nesting beyond any parser is let through.

    It is stored with its secrets blanked (the scanner does not recurse) and ends in quarantine.
    """
    try:
        return read_body(residual, path_event=path_event)
    except RecursionError:
        return Body(path_event, "", residual)


def _examine(document: memoryview) -> tuple[str, str]:
    """Event and instance of a spilled body. Raises ``ValueError`` when it is not an object.

    One with half an emoji in it would have to be copied to be read; it is kept without labels.
    """
    try:
        return labels(_decode_object(document))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if has_lone_surrogate(document):
            return "", ""
        raise ValueError(f"the body is not a JSON object: {error}") from None
    except RecursionError:
        return "", ""


async def _whole(raw: bytes) -> AsyncIterator[bytes]:
    yield raw
