"""What was refused: look at it, and send it again."""

from typing import Annotated

import typer

from driftline.cli.options import AsJson, File, echo_json, group, load, say

app = group("Refused records: list, show, redrive.")

Reason = Annotated[str | None, typer.Option(help="Only this reason: wrong_type, missing_field, ...")]
Topic = Annotated[str | None, typer.Option(help="Only records of this topic, named without the prefix.")]
Stage = Annotated[str | None, typer.Option(help="Only what this stage refused: score, join, ...")]
From = Annotated[
    str | None, typer.Option("--from", help="Refused then or later: RFC 3339, ms, -15m, partition:offset.")
]
To = Annotated[str | None, typer.Option("--to", help="Refused before then.")]


@app.command("list")
def list_letters(
    reason: Reason = None,
    topic: Topic = None,
    stage: Stage = None,
    start: From = None,
    end: To = None,
    limit: Annotated[int, typer.Option(help="How many letters to show, the newest.", min=0)] = 20,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Count what was refused by reason; show the newest."""
    from driftline.commands import dead_letters
    from driftline.roles import parts
    from streams.clock import now_ms
    from streams.redrive import Filter, Found

    which = Filter(reason=reason, topic=topic, stage=stage, start=start, end=end)
    listing = dead_letters.listing(Found(parts.answering(load(file), "dead-letters list"), which, now_ms()), limit)
    echo_json(listing) if as_json else say("\n".join(dead_letters.table(listing)))


@app.command()
def show(
    place: Annotated[str, typer.Argument(help="Place of the letter, dead-letters/0/17, or of its record.")],
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Say why one record was refused; print its bytes."""
    from driftline.commands import dead_letters
    from driftline.roles import parts
    from streams.clock import now_ms

    letter, again = dead_letters.find(parts.answering(load(file), "dead-letters list"), place, now_ms())
    if as_json:
        echo_json({"letter": letter, "again": again, "text": (letter.value or b"").decode("utf-8", "replace")})
    else:
        say("\n".join(dead_letters.full(letter, again)))


@app.command()
def redrive(
    reason: Reason = None,
    topic: Topic = None,
    stage: Stage = None,
    start: From = None,
    end: To = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing, say what would be.")] = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Send refused records back, each once."""
    import sys

    from driftline.roles import parts
    from streams.clock import now_ms
    from streams.redrive import Filter
    from streams.redrive import redrive as send

    def on_progress(sent: int) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r  {sent:,} ...", nl=False, err=True)

    which = Filter(reason=reason, topic=topic, stage=stage, start=start, end=end)
    done = send(parts.answering(load(file), "dead-letters redrive"), which, now_ms(), dry_run, on_progress)
    if as_json:
        echo_json(done)
        raise typer.Exit(1 if done.cut else 0)
    say(f"{done.sent:,} {'would be sent' if dry_run else 'sent'}, {done.before:,} had been sent before")
    if done.foreign:
        say(f"{done.foreign:,} came from topics that somebody else fills: nothing is sent there", err=True)
    if done.ours:
        say(f"{done.ours:,} came from topics of ours: other steps have taken them, and would twice", err=True)
    for letter in done.cut:
        say(f"{letter} cannot be sent: only the beginning of its record was kept", err=True)
    raise typer.Exit(1 if done.cut else 0)
