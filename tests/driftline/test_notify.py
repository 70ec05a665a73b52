"""Pages reach people: a real webhook on loopback, and what happens when it does not answer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from driftline.roles.notify import Notify, NotSent, sender
from streams.wire.block import Block
from streams.wire.records import Alert


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict], list[int]]]:
    """An address, what was posted to it, and the codes that it answers with, the last one for ever."""
    posted: list[dict] = []
    codes = [200]

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(codes.pop(0) if len(codes) > 1 else codes[0])
            self.end_headers()

        def log_message(self, *said: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/", posted, codes
    server.shutdown()
    thread.join()
    server.server_close()


def alerts(*pages: bool, reach: str = "list") -> Block:
    values = [
        msgspec.json.encode(
            Alert(
                id=f"m-1/{n}", incident="m-1", event="open", model="m", version="v1", ts=0, window_start=0,
                window_end=60_000, kind="feature", severity="warning", page=page, columns=[], change_point=0,
                change_point_low=0, change_point_high=0, evidence=1e6, budget=43_200, reference="r", epoch=1,
                text="age moved", reach=reach,
            )
        )
        for n, page in enumerate(pages)
    ]  # fmt: skip
    return Block.of("alerts", 0, values)


def test_what_pages_is_sent_with_its_sentence_its_link_and_its_id(webhook):
    address, posted, _ = webhook
    effects = Notify(sender([address]), "http://page").process([alerts(True, False, True)])
    assert len(effects) == 1 and not effects[0].publish
    assert [post["title"] for post in posted] == ["warning: m v1, incident m-1"] * 2
    assert posted[1]["message"].split("\n") == ["age moved", "http://page/i/m-1", "m-1/2"]


def test_what_was_not_taken_comes_again_and_what_was_does_not(webhook):
    address, posted, codes = webhook
    codes[:] = [200, 500, 200]
    step = Notify(sender([address]), "http://page")
    with pytest.raises(NotSent, match="m-1/1"):
        step.process([alerts(True, True)])
    step.process([alerts(True, True)])
    assert [post["message"].split("\n")[-1] for post in posted] == ["m-1/0", "m-1/1", "m-1/1"]


def test_an_alert_that_a_stranger_wrote_is_a_short_plain_page_with_a_link_to_our_page_alone(webhook):
    address, posted, _ = webhook
    (value,) = alerts(True).values
    evil = "\x1b[2J\r\nBcc: all@example.com\n\u202e"
    hostile = msgspec.json.decode(value) | {
        "model": evil,
        "text": evil * 20_000,
        "incident": f"../{evil}?x=1",
        "id": evil,
    }
    Notify(sender([address]), "http://page").process([Block.of("alerts", 0, [msgspec.json.encode(hostile)])])
    (post,) = posted
    assert post["title"].isprintable() and len(post["title"]) < 300
    text, link, _id = post["message"].split("\n")
    assert text.isprintable() and len(text) < 4_000
    assert link.isascii() and " " not in link and "?" not in link and link.startswith("http://page/i/")


def test_an_address_that_nobody_knows_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match=r"notify\[0\]") as refused:
        sender(["nonsense:secret"])
    assert "secret" not in str(refused.value)


def test_a_chat_hears_of_what_pages_and_of_what_is_too_mild_to_and_of_nothing_less(webhook):
    address, posted, _ = webhook
    step = Notify(None, "http://page", sender([address], "monitor.chat"))
    step.process([alerts(False), alerts(True, False, reach="chat")])
    assert [post["message"].split("\n")[2] for post in posted] == ["m-1/0", "m-1/1"]
