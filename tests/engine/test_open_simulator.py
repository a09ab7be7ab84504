"""The simulator within a test: sends, and everything that may go wrong with one.

Promise P4 (a reply is sent exactly once, whatever its gateway does) is proven against this, so it
must do what it says: the truth of ``sent()`` is what these tests compare every answer to.
"""

import hashlib
import ssl
import time

import httpx
import pytest
import trio

from evorelay.simulator.misbehaviour import Chances
from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.run import open_simulator
from tests.engine.simulating import NEXT, TO, V2, a_bench, until


async def test_a_sent_text_is_recorded_once_with_the_id_that_was_answered() -> None:
    async with a_bench() as bench:
        answer = (await bench.send("Olá 😀")).json()
        await bench.settle()
        [sent] = bench.simulator.sent()
        assert (sent.recipient, sent.type, sent.text) == (TO, "text", "Olá 😀")
        assert sent.id == answer["key"]["id"] == bench.echoes()[0]["key"]["id"]
        assert bench.simulator.counts() == {(TO, "Olá 😀"): 1}


async def test_the_webhook_comes_before_the_answer_in_about_half_of_the_cases() -> None:
    """As measured: 35 of 60 (research/evolution-live.md)."""
    async with a_bench() as bench:
        first = 0
        for number in range(40):
            await bench.send(f"n{number}")
            first += len(bench.echoes()) == number + 1
            await bench.settle(number + 1)
        assert 8 <= first <= 32


async def test_receipts_follow_a_sent_text_and_are_found_later() -> None:
    async with a_bench() as bench:
        id_ = (await bench.send()).json()["key"]["id"]
        await until(lambda: bench.receiver.of("messages.update"))
        assert bench.receiver.of("messages.update")[0]["data"]["status"] == "SERVER_ACK"
        [row] = await bench.found(key={"id": id_})
        assert "status" not in row
        assert row["MessageUpdate"][0] == {"status": "SERVER_ACK"}
        updates = (await bench.post("chat/findStatusMessage", where={"id": id_})).json()
        assert [update["keyId"] for update in updates] == [id_] * len(updates)
        assert updates


@pytest.mark.parametrize(("sent", "texts"), [(False, []), (True, ["Oi"])])
@pytest.mark.parametrize("kind", ["hang", "reset", "cut", "html-504", "connection-closed"])
async def test_a_failed_send_went_out_or_not_as_asked(
    kind: str, sent: bool, texts: list[str]
) -> None:
    async with a_bench() as bench:
        bench.simulator.misbehave(kind, sent=sent)
        try:
            with trio.move_on_after(1 if kind == "hang" else 30):
                assert (await bench.send()).status_code >= 400
        except httpx.TransportError:
            pass
        assert bench.texts() == texts
        assert len(await bench.found()) == len(texts)
        assert (await bench.send("a seguir")).status_code == 201


async def test_a_reset_comes_before_a_byte_of_the_answer_and_a_cut_in_the_middle() -> None:
    async with a_bench() as bench:
        bench.simulator.misbehave("reset")
        with pytest.raises(httpx.ReadError):
            await bench.send()
        bench.simulator.misbehave("cut")
        path, body = f"/message/sendText/{bench.instance}", {"number": TO, "text": "Oi"}
        async with bench.client.stream("POST", path, json=body) as response:
            assert response.status_code == 201
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                await response.aread()


async def test_a_hang_can_be_a_while_and_then_be_processed_without_an_answer() -> None:
    async with a_bench() as bench:
        bench.simulator.misbehave("hang", delay_s=2, sent=True)
        with trio.move_on_after(0.15) as gave_up:
            await bench.send()
        assert gave_up.cancelled_caught
        assert bench.texts() == []
        await until(lambda: bench.texts() == ["Oi"])


async def test_slow_is_late_and_otherwise_as_always() -> None:
    async with a_bench() as bench:
        bench.simulator.misbehave("slow", delay_s=0.2)
        began = time.monotonic()
        assert (await bench.send()).status_code == 201
        assert time.monotonic() - began >= 0.2


async def test_what_is_no_answer_of_evolutions_is_not_json() -> None:
    async with a_bench() as bench:
        bench.simulator.misbehave("half-json")
        half = await bench.send()
        assert half.status_code == 201
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            half.json()
        for kind, status in (("html-502", 502), ("html-503", 503), ("html-504", 504)):
            bench.simulator.misbehave(kind)
            page = await bench.send()
            assert (page.status_code, page.headers["content-type"]) == (status, "text/html")
        for kind, status in (("busy", 503), ("429", 429)):
            bench.simulator.misbehave(kind, retry_after_s=7)
            asked = await bench.send()
            assert (asked.status_code, asked.headers["retry-after"]) == (status, "7")
        for status in (301, 307):
            bench.simulator.misbehave(f"redirect-{status}")
            moved = await bench.send()
            assert (moved.status_code, moved.headers["location"]) == (
                status,
                "/simulator/elsewhere",
            )
        bench.simulator.misbehave("huge")
        assert len((await bench.send()).content) > 10_000_000
        assert bench.texts() == ["Oi"]


async def test_a_drip_takes_its_time() -> None:
    async with a_bench() as bench:
        bench.simulator.misbehave("drip")
        with trio.move_on_after(0.5) as gave_up:
            await bench.send()
        assert gave_up.cancelled_caught
        await until(lambda: bench.texts() == ["Oi"])


async def test_trouble_waits_for_the_call_and_the_number_it_was_asked_for() -> None:
    async with a_bench() as bench:
        bench.simulator.misbehave("html-502", call="chat/findMessages")
        bench.simulator.misbehave("500", number="5511988880002")
        assert (await bench.send()).status_code == 201
        other = await bench.post("message/sendText", number="5511988880002", text="x")
        assert other.status_code == 500
        assert (await bench.post("chat/findMessages", where={})).status_code == 502
        assert len(await bench.found()) == 1


async def test_the_webhook_of_a_send_can_be_lost_late_twice_or_first() -> None:
    async with a_bench() as bench:
        bench.simulator.misbehave("webhook-before")
        first = (await bench.send("antes")).json()["key"]["id"]
        assert [echo["key"]["id"] for echo in bench.echoes()] == [first]
        bench.simulator.misbehave("webhook-lost")
        await bench.send("perdido")
        bench.simulator.misbehave("webhook-late", delay_s=0.3)
        late = (await bench.send("tarde")).json()["key"]["id"]
        bench.simulator.misbehave("webhook-twice")
        twice = (await bench.send("duas vezes")).json()["key"]["id"]
        await bench.settle(4)
        ids = [echo["key"]["id"] for echo in bench.echoes()]
        assert sorted(ids) == sorted([first, late, twice, twice])
        assert bench.texts() == ["antes", "perdido", "tarde", "duas vezes"]
        assert len(await bench.found()) == 4


async def test_receipts_can_be_lost_or_tell_of_a_failure() -> None:
    async with a_bench() as bench:
        bench.simulator.misbehave("receipts-lost")
        silent = (await bench.send("calado")).json()["key"]["id"]
        bench.simulator.misbehave("undelivered")
        failed = (await bench.send("falhou")).json()["key"]["id"]
        updates = bench.receiver.of
        await until(lambda: updates("messages.update"))
        said = updates("messages.update")[0]["data"]
        assert (said["keyId"], said["status"]) == (failed, "ERROR")
        with trio.fail_after(30):
            while not (await bench.found(key={"id": silent}))[0]["MessageUpdate"]:
                await trio.sleep(0.02)
        assert {update["data"]["keyId"] for update in updates("messages.update")} == {failed}


async def test_chance_loses_and_doubles_as_often_as_asked() -> None:
    async with a_bench() as bench:
        bench.simulator.chance(Chances(drop_before=0.3, drop_answer=0.3))
        answered = 0
        for number in range(60):
            try:
                answered += (await bench.send(f"n{number}")).status_code == 201
            except httpx.TransportError:
                continue
        assert 10 <= answered <= 40
        assert answered < len(bench.texts()) < 60
        assert len(set(bench.texts())) == len(bench.texts())


async def test_an_own_message_id_is_taken_since_2_4() -> None:
    """``messageId`` of every send but a reaction (evolution-api pull request 2361)."""
    for dialect, is_taken in ((V2, False), (NEXT, True)):
        async with a_bench(dialect) as bench:
            answer = (await bench.send(messageId="3EB0AAAABBBBCCCCDDDDEE")).json()
            assert (answer["key"]["id"] == "3EB0AAAABBBBCCCCDDDDEE") is is_taken
            assert (await bench.client.get("/")).json()["version"] == dialect.split()[0]


async def test_it_speaks_tls_with_a_certificate_of_its_own() -> None:
    """P7: a self-signed Evolution is trusted by its CA file or its fingerprint."""
    options = SimulatorOptions(None, instances=1, rate_per_minute=0, tls=True)
    async with open_simulator(options) as simulator:
        assert simulator.url.startswith("https://127.0.0.1:")
        assert simulator.certificate is not None
        der = ssl.PEM_cert_to_DER_cert(simulator.certificate.decode())
        assert hashlib.sha256(der).hexdigest() == simulator.fingerprint
        trusting = ssl.create_default_context(cadata=simulator.certificate.decode())
        for context, is_trusted in ((trusting, True), (ssl.create_default_context(), False)):
            async with httpx.AsyncClient(verify=context, trust_env=False) as client:
                try:
                    assert (await client.get(simulator.url)).status_code == 200
                    assert is_trusted
                except httpx.ConnectError:
                    assert not is_trusted


async def test_a_reset_works_through_tls_too() -> None:
    options = SimulatorOptions(None, instances=1, rate_per_minute=0, tls=True)
    async with open_simulator(options) as simulator:
        [name] = simulator.instances
        assert simulator.certificate is not None
        context = ssl.create_default_context(cadata=simulator.certificate.decode())
        headers = {"apikey": simulator.api_key}
        async with httpx.AsyncClient(verify=context, headers=headers, trust_env=False) as client:
            simulator.misbehave("reset", sent=True)
            with pytest.raises(httpx.TransportError):
                await client.post(
                    f"{simulator.url}/message/sendText/{name}", json={"number": TO, "text": "Oi"}
                )
        assert len(simulator.sent()) == 1
