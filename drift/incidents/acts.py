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

from drift.incidents.book import following
from drift.incidents.spelling import rfc3339
from drift.incidents.text import Text, person, spelled, text, time
from streams.wire.records import Act, Alert, IncidentEvent, Reach


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

    def follow(self, act: Act) -> None:
        """Remember an act."""
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

    def unmuted(self, last: Alert, end_ms: int, spell: Callable[[int], str]) -> Alert | None:
        """What a mute that has ended kept back, told once; None where it has not ended, or nothing worsened.

        Parameters
        ----------
        last
            The latest alert of an open incident.
        end_ms
            The event time that its windows have reached.
        spell
            Writes a time.
        """
        heed = self.of.get(last.incident)
        if heed is None or heed.missed is None or heed.muted_until_ms is None or end_ms < heed.muted_until_ms:
            return None
        sentence = text(heed.missed_text, "; this came while it was muted, until ", time(heed.muted_until_ms))
        reach, heed.missed, heed.acknowledged = heed.missed, None, False
        same = {"event": "update", "page": reach == "page", "reach": reach, "worse": True, "act": ""}
        return following(last, spelled(sentence, spell), ts=max(end_ms, last.ts + 1), **same)


def acted(last: Alert, act: Act, sentence: Text) -> Alert:
    """The alert that tells of an act: in event time just after the last one of the incident, and before the next.

    Parameters
    ----------
    last
        The latest alert of the incident.
    act
        What was decided.
    sentence
        Says it, its times spelled.
    """
    event: IncidentEvent = "close" if act.act == "rebaseline" else "update"
    return following(last, sentence, event=event, page=False, reach="chat", worse=False, act=act.act, ts=last.ts + 1)


def named(act: Act) -> str:
    """An act by what, who and when: a refusal of it begins so.

    >>> named(Act(model="m", incident="m-1", act="mute", by="ann", at_ms=0))
    'mute of m-1 by ann at 1970-01-01T00:00:00Z'
    """
    return f"{act.act} of {act.incident} by {act.by} at {rfc3339(act.at_ms)}"


def sentence(act: Act) -> Text:
    """Say who decided what, when, and why.

    >>> from drift.incidents.text import plain
    >>> act = Act(model="m", incident="m-1", act="mute", by="ann", at_ms=0, reason="a holiday", until_ms=7)
    >>> plain(spelled(sentence(act), str))
    'muted until 7 by ann at 0 (a holiday): until then it is recorded, and sent to nobody'
    """
    who = text(person(act.by), " at ", time(act.at_ms), f" ({act.reason})" if act.reason else "")
    if act.act == "mute":
        assert act.until_ms is not None
        until = text("muted until ", time(act.until_ms), " by ", who)
        return text(until, ": until then it is recorded, and sent to nobody")
    if act.act == "acknowledge":
        return text("acknowledged by ", who, ": nobody is sent more of it until it gets clearly worse")
    return text("made the new normal by ", who)
