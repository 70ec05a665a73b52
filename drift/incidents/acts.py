"""Acts: what people decide about an open incident, and what becomes of its alerts then.

An act is a record on `counts` (`streams.wire.records.Act`) before anything follows from it, so a replay sees it where
it was.

===============  ==================================================================================================
acknowledged     someone is on it: told in lists alone, until it worsens by another tolerance
muted            counted, and sent to nobody, until a time of the events; then, if it worsened meanwhile, told once
the new normal   (re-baselined) the incident ends; what it was about is compared, from here on, with how it is now
===============  ==================================================================================================
"""

from collections.abc import Callable

import msgspec

from drift.incidents.alert_ids import next_id
from drift.incidents.spelling import rfc3339
from streams.wire.records import Act, Alert, Reach


class Heed(msgspec.Struct, kw_only=True):
    """How an incident is to be told: whether someone is on it, and until when (event time, ms) nobody wants to hear.

    ``missed`` is how far what worsened while it was muted would have been told, ``missed_text`` the last of it.
    """

    acknowledged: bool = False
    muted_until_ms: int | None = None
    missed: Reach | None = None
    missed_text: str = ""

    def miss(self, alert: Alert) -> None:
        """Remember an alert that a mute keeps back, if it is one of worsening."""
        if alert.worse or alert.reach == "page":
            self.missed = "page" if "page" in (self.missed, alert.reach) else alert.reach
            self.missed_text = alert.text


class Heeds(msgspec.Struct):
    """What people said of a model's open incidents, by incident."""

    of: dict[str, Heed] = {}

    def take(self, act: Act) -> None:
        """Take an act."""
        heed = self.of.setdefault(act.incident, Heed())
        if act.act == "acknowledge":
            heed.acknowledged = True
        elif act.act == "mute":
            heed.muted_until_ms = act.until_ms

    def applied(self, alert: Alert) -> Alert:
        """An alert as far as people want to hear of its incident."""
        heed = self.of.get(alert.incident)
        if heed is None:
            return alert
        if alert.event == "close":
            del self.of[alert.incident]
        muted = heed.muted_until_ms is not None and alert.ts < heed.muted_until_ms
        if muted:
            heed.miss(alert)
        elif alert.reach != "list":
            heed.missed = None  # It says how things are now.
        if not muted and heed.acknowledged and (alert.worse or alert.reach == "page"):
            heed.acknowledged = False  # An acknowledgement holds until the incident worsens.
        if not muted and not heed.acknowledged:
            return alert
        return msgspec.structs.replace(alert, reach="list", page=False)

    def unmuted(self, incident: str, last: Alert, end_ms: int, say: Callable[[int], str]) -> Alert | None:
        """What a mute that has ended kept back, told once; None where it has not ended, or nothing worsened.

        Parameters
        ----------
        incident, last
            An open incident, and its latest alert.
        end_ms
            The event time that its windows have reached.
        say
            Writes a time.
        """
        heed = self.of.get(incident)
        if heed is None or heed.missed is None or heed.muted_until_ms is None or end_ms < heed.muted_until_ms:
            return None
        text = f"{heed.missed_text}; this came while it was muted, until {say(heed.muted_until_ms)}"
        reach, heed.missed, heed.acknowledged = heed.missed, None, False
        same = {"event": "update", "page": reach == "page", "reach": reach, "worse": True, "act": "", "text": text}
        return msgspec.structs.replace(last, id=next_id(last), ts=max(end_ms, last.ts + 1), **same)


def acted(last: Alert, act: Act, text: str) -> Alert:
    """The alert that tells of an act: in event time just after the last one of the incident, and before the next.

    Parameters
    ----------
    last
        The latest alert of the incident.
    act
        What was decided.
    text
        The sentence that says it.
    """
    return msgspec.structs.replace(
        last,
        id=next_id(last),
        event="close" if act.act == "rebaseline" else "update",
        page=False,
        reach="chat",
        worse=False,
        act=act.act,
        ts=last.ts + 1,
        text=text,
    )


def named(act: Act) -> str:
    """An act by what, who and when: a refusal of it begins so.

    >>> named(Act(model="m", incident="m-1", act="mute", by="ann", at_ms=0))
    'mute of m-1 by ann at 1970-01-01T00:00:00Z'
    """
    return f"{act.act} of {act.incident} by {act.by} at {rfc3339(act.at_ms)}"


def sentence(act: Act, say: Callable[[int], str]) -> str:
    """Say who decided what, when, and why.

    >>> act = Act(model="m", incident="m-1", act="mute", by="ann", at_ms=0, reason="a holiday", until_ms=7)
    >>> sentence(act, str)
    'muted until 7 by ann at 0 (a holiday): until then it is recorded, and sent to nobody'
    """
    why = f" at {say(act.at_ms)}" + (f" ({act.reason})" if act.reason else "")
    if act.act == "mute":
        assert act.until_ms is not None
        return f"muted until {say(act.until_ms)} by {act.by}{why}: until then it is recorded, and sent to nobody"
    if act.act == "acknowledge":
        return f"acknowledged by {act.by}{why}: nobody is sent more of it until it gets clearly worse"
    return f"made the new normal by {act.by}{why}"
