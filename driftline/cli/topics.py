"""The topics of this deployment."""

from typing import Annotated

import typer

from driftline.cli.options import AsJson, File, echo_json, group, load, say

app = group("Create and check the topics.")


@app.command()
def create(
    names: Annotated[
        list[str] | None, typer.Argument(help="Topics that you fill and we watch; none: ours alone.")
    ] = None,
    partitions: Annotated[int, typer.Option(help="Partitions of the topics that are named.", min=1)] = 1,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Create the topics that are missing, and add the partitions that ours lack; what is there stays."""
    from driftline.roles import parts
    from streams.kafka import admin

    settings = load(file)
    cluster = parts.answering(settings)
    made = admin.create(cluster, parts.layout(settings))
    made += admin.extend(cluster)
    made += admin.create_foreign(cluster, names or (), partitions, settings.kafka.replicas)
    echo_json(made) if as_json else say("\n".join(made) or "nothing to create")


@app.command()
def check(file: File = None, as_json: AsJson = False) -> None:
    """Say what is wrong with the topics; exit code 1 if anything is."""
    from driftline.roles import parts
    from streams.kafka import admin

    wrong = admin.check(parts.answering(load(file), "topics check"))
    echo_json(wrong) if as_json else say("\n".join(wrong) or "all is well")
    raise typer.Exit(1 if wrong else 0)
