"""What the judge has found."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.options import AsJson, File, echo_json, group, load, say

if TYPE_CHECKING:
    from drift.store import Store
    from driftline.commands.incident_acts import Kind

app = group("Incidents: list, show, acknowledge, mute, rebaseline.")


def _store(file: File) -> "Store":
    from drift.store import Store
    from driftline.roles import parts

    return Store(parts.store_settings(load(file)))


@app.command("list")
def list_incidents(
    model: Annotated[str, typer.Option(help="Only this model's.")] = "",
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are open.")] = False,
    limit: Annotated[int, typer.Option(help="How many, the newest.", min=1)] = 20,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """List the newest incidents, and say how far the judge has come."""
    from drift.store import Store
    from driftline.commands import incidents, unjudged
    from driftline.roles import parts
    from driftline.roles.run_file import RunFileError, running

    settings = load(file)
    store = Store(parts.store_settings(settings))
    # The lag before the list, so that the list is never older than the lag says.
    try:
        run = running(settings.data_dir)
    except RunFileError:  # `status` says so
        run = None
    listed = incidents.incidents(store, model, not only_open, limit)
    if as_json:
        echo_json(listed)
        if behind := unjudged.waiting(run):
            say(f"! more may come: {behind}", err=True)
        return
    say("\n".join(incidents.table(listed)))
    say("\n".join(unjudged.lines(run, incidents.judged(store, model))))


@app.command()
def show(
    incident: Annotated[str, typer.Argument(metavar="ID", help="Name of the incident, such as churn-2.")],
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Say what happened, since when, and what to do."""
    from driftline.commands import incidents

    story = incidents.story(_store(file), incident)
    echo_json(story) if as_json else say("\n".join(incidents.full(story)))


Incident = Annotated[str, typer.Argument(metavar="ID", help="Name of the incident, such as churn-2.")]
By = Annotated[str, typer.Option(help="Who decides; by default, whoever runs this.")]
Reason = Annotated[str, typer.Option(help="Why, in a few words; everybody reads it.")]


@app.command()
def acknowledge(
    incident: Incident, reason: Reason = "", by: By = "", file: File = None, as_json: AsJson = False
) -> None:
    """Say that someone is on it: told in lists alone, until it worsens by another tolerance."""
    _act(file, as_json, incident, "acknowledge", by, reason)


@app.command()
def mute(
    incident: Incident,
    until: Annotated[str, typer.Option(help="Until when, in event time: 3d from now on, or 2024-05-01T12:00:00Z.")],
    reason: Reason = "",
    by: By = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Send nothing of it until then; it is counted."""
    _act(file, as_json, incident, "mute", by, reason, until)


@app.command()
def rebaseline(
    incident: Incident, reason: Reason = "", by: By = "", file: File = None, as_json: AsJson = False
) -> None:
    """Make how things are the new normal: it ends, and later rows are compared with those since its change."""
    _act(file, as_json, incident, "rebaseline", by, reason)


def _act(file: File, as_json: bool, incident: str, kind: "Kind", by: str, reason: str, until: str = "") -> None:
    from driftline.commands import incident_acts
    from driftline.roles import parts

    store = _store(file)
    act = incident_acts.decide(store, incident, kind, by=by or getpass.getuser(), reason=reason, until=until)
    incident_acts.publish(parts.answering(load(file), "incidents"), act)
    reply = incident_acts.followed(store, act)
    if as_json:
        echo_json({"act": act, "followed": reply})
    elif reply is not None:
        say(f"{incident}: {reply.text}")
    else:
        say(
            f"{incident}: written, and not yet followed. Does the monitor run (`driftline status`)? "
            "What it refuses is in `driftline dead-letters list`.",
            err=True,
        )
