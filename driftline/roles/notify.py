"""Alerts sent to people: a webhook, a chat, a mail, whatever Apprise knows.

What pages goes to the addresses of `monitor.notify`; what is milder goes, with it, to those of `monitor.chat`. What is
immaterial, acknowledged or muted is sent to nobody: topics, the store and the page have it.

Topics and the store have each alert once; people may get one twice, because nobody can send a message and commit an
offset in one breath. So each carries the alert's id, by which a receiver can tell. An alert that cannot be sent holds
up the ones after it and is sent again, with growing pauses: a pager that is silent because it is broken is the worst
one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import quote

import msgspec

from streams.logs import one_line
from streams.runtime.set_aside import SetAside
from streams.runtime.stage import Step
from streams.wire.block import Block
from streams.wire.effects import Effects
from streams.wire.records import FORMAT, Alert
from streams.wire.refusals import Refusal

#: A receiver that refuses a longer one, or one of several lines, would hold up every page after it.
_TITLE_MAX, _TEXT_MAX = 250, 3_000
_alert = msgspec.json.Decoder(Alert).decode

#: Sends a title and a text; False where that failed.
Send = Callable[[str, str], bool]


class NotSent(RuntimeError):
    """A receiver did not take an alert; it is sent again."""


def sender(addresses: Iterable[str], setting: str = "monitor.notify") -> Send:
    """Send to Apprise addresses (``json://host/path``, ``slack://...``, ``mailto://...``); all must take it.

    Raises
    ------
    ValueError
        An address that Apprise does not know; the text does not repeat it, for it may hold a secret.
    """
    import apprise

    receivers = apprise.Apprise()
    for n, address in enumerate(addresses):
        if not receivers.add(address):
            raise ValueError(f"{setting}[{n}] is no address that Apprise knows; see its list of services")

    def send(title: str, text: str) -> bool:
        return bool(receivers.notify(title=title, body=text))

    return send


class Notify(Step):
    """A `Step` over `alerts`: sends those that people are to hear of.

    Parameters
    ----------
    send
        Where pages go; see `Send`. None for nowhere.
    page
        Address of the page, for a link to the incident.
    chat
        Where all goes that is told beyond the lists, pages too; None for nowhere.
    set_aside
        Makes dead letters of what is no alert.
    """

    def __init__(
        self, send: Send | None, page: str, chat: Send | None = None, set_aside: SetAside | None = None
    ) -> None:
        self._set_aside = set_aside or SetAside("notify")
        self._send = send
        self._chat = chat
        self._page = page
        self._sent: set[tuple[str, str]] = set()

    def process(self, blocks: Sequence[Block]) -> Sequence[Effects]:
        """Send what people are to hear of; what is no alert is a dead letter.

        Raises
        ------
        NotSent
            The same blocks should come again.
        """
        return [self._process(block) for block in blocks]

    def _process(self, block: Block) -> Effects:
        refused: list[Refusal] = []
        for at, value in enumerate(block.values):
            try:
                alert = _alert(value or b"")
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                refused.append(Refusal(at, "undecodable" if value else "empty", "$", str(error)))
                continue
            if alert.format != FORMAT:
                detail = f"alert format {alert.format}, this version reads {FORMAT}"
                refused.append(Refusal(at, "unknown_format", "$.format", detail))
                continue
            for setting, send in self._receivers(alert):
                if (alert.id, setting) not in self._sent:
                    self._tell(alert, setting, send)
        return Effects(self._set_aside(block, refused))

    def _receivers(self, alert: Alert) -> Iterator[tuple[str, Send]]:
        """Who hears of an alert: the setting that names them, and how they are sent to."""
        if self._send is not None and alert.page:
            yield "monitor.notify", self._send
        if self._chat is not None and (alert.page or alert.reach == "chat"):
            yield "monitor.chat", self._chat

    def _tell(self, alert: Alert, setting: str, send: Send) -> None:
        grade = "over" if alert.event == "close" else alert.severity
        title = one_line(f"{grade}: {alert.model} {alert.version}, incident {alert.incident}")[:_TITLE_MAX]
        link = f"{self._page}/i/{quote(alert.incident[:_TITLE_MAX])}"
        text = f"{one_line(alert.text)[:_TEXT_MAX]}\n{link}\n{one_line(alert.id)[:_TITLE_MAX]}"
        if not send(title, text):
            raise NotSent(f"alert {alert.id} was not taken by every receiver of {setting}; it is sent again")
        self._sent.add((alert.id, setting))
