"""A replay as one HTML file that needs nothing else: for a ticket, or a pull request's checks."""

from html import escape
from string import Template

from drift.incidents import rfc3339
from driftline.replay import text as words
from driftline.replay.result import Incident, Replay, same

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Replay: $answer</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; line-height: 1.3 } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884 }
td.n { text-align: right; font-variant-numeric: tabular-nums }
.quiet { opacity: .65 } pre { overflow-x: auto }
</style></head><body>
<h1>$answer</h1>
<pre>$lines</pre>
$sections
</body></html>
""")


def page(result: Replay) -> str:
    """Write the page."""
    _, _, *rest = words.lines(result)
    facts = [line for line in rest if line[:1].strip()]
    return _PAGE.substitute(
        answer=escape(words.answer(result)),
        lines=escape("\n".join(line for line in facts if not line.startswith(("incidents", "performance")))),
        sections="\n".join([_incidents(result), _performance(result), _examples(result)]),
    )


def _table(title: str, head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    heading = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2>\n<table><tr>{heading}</tr>\n{body}</table>"


def _text(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _number(value: float, form: str = ".4f") -> str:
    return f'<td class="n">{value:{form}}</td>'


def _incidents(result: Replay) -> str:
    rows = []
    for pair in result.drift.incidents:
        right = '<td class="quiet">the same</td>' if same(pair) else _incident(pair.replayed)
        rows.append([_incident(pair.served), right])
    return _table("Incidents", ["served", "replayed"], rows)


def _incident(incident: Incident | None) -> str:
    if incident is None:
        return '<td class="quiet">none</td>'
    paged = f"paged {rfc3339(incident.paged)}" if incident.paged is not None else "not paged"
    return (
        f"<td><b>{escape(incident.id)}</b> {escape(incident.severity)} {escape(incident.kind)}, {paged}"
        f"<br>{escape(incident.text)}"
        f'<br><span class="quiet">since {rfc3339(incident.change_point)}, told {rfc3339(incident.opened)}</span></td>'
    )


def _performance(result: Replay) -> str:
    head = ["metric", "labels", "served", "replayed", "difference", "95 % interval"]
    rows = [
        [
            _text(f"{metric.model} {metric.metric}"),
            _number(metric.rows, ","),
            _number(metric.served),
            _number(metric.replayed),
            _number(metric.difference, "+.4f"),
            _text(f"{metric.low:+.4f} to {metric.high:+.4f}"),
        ]
        for metric in result.performance
    ]
    return _table("Performance on the labels known", head, rows)


def _examples(result: Replay) -> str:
    rows = [
        [
            _text(example.id),
            _text(example.place),
            _text(example.served),
            _number(example.served_score),
            _text(example.replayed),
            _number(example.replayed_score),
            _number(example.difference, "+.4f"),
        ]
        for example in result.predictions.examples
    ]
    head = ["id", "request", "served", "score", "replayed", "score", "difference"]
    return _table("Predictions that differ most", head, rows)
