"""Results as Markdown: an experiment's table, and the list of all experiments."""

from collections.abc import Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]
MOST_HEADLINES = 12  # of an experiment; the others stand in its own table
NAMES = {
    "mmer": "MMER",
    "greedy": "greedy return",
    "sampled": "sampled return",
    "greedy_last": "greedy return of the last inner episode",
    "sampled_last": "sampled return of the last inner episode",
}
PLAYED = "the mean return of the trained agent's"
MEANINGS = {
    "mmer": "the greatest mean return of the episodes of one update in training, less its first "
    "twentieth, of each seed",
    "greedy": f"{PLAYED} most likely actions, of each seed",
    "sampled": f"{PLAYED} actions as drawn, of each seed",
    "greedy_last": f"{PLAYED} most likely actions in a trial's last inner episode, of each seed",
    "sampled_last": f"{PLAYED} actions as drawn in a trial's last inner episode, of each seed",
}

PLACES = (
    "Of trials, returns of single inner episodes: of the first and the last, of the last with "
    "memory wiped before each, of the last with random actions, and the best possible with the "
    "task known. Brackets are 95 % bootstrap intervals over seeds."
)


def table(summary: Mapping[str, Any], results: Sequence[Result]) -> str:
    """Return an experiment's page: its cells, its aggregates and the published values' sources.

    ``summary`` holds ``title``, ``command``, ``cells`` (how many there are), ``aggregates``,
    ``divided``, ``sources`` [(column, text)] and, where agents played elsewhere, ``places``.
    """
    lines = [f"# {summary['title']}", "", _state(summary, results), ""]
    if results:
        lines += [_made(results), "", *_cells(results), ""]
    if summary.get("places"):
        lines += ["## Where agents played", "", PLACES, "", *_places(summary["places"]), ""]
    for heading, parts in _parts(summary["aggregates"]).items():
        lines += [f"## {heading}", ""]
        if summary["divided"]:
            words = ", ".join(f"{label} {number:g}" for label, number in summary["divided"].items())
            lines += [f"Every score is divided by: {words}.", ""]
        lines += [*_aggregates(parts), ""]
    if summary["sources"]:
        lines += ["Published values:", ""]
        lines += [f"* {name}: {text}" for name, text in summary["sources"]] + [""]
    return "\n".join(lines)


def index(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page that lists experiments, each with its figures, by name."""
    lines = [
        "# Results",
        "",
        "What `ssmrl reproduce` wrote; this page is made of the JSON beside.",
        "",
    ]
    for name, summary in sorted(summaries.items()):
        lines.append(f"* [{name}]({name}/table.md): {summary['title']}. {_figures(summary)}")
    return "\n".join([*lines, ""])


def evidence(summaries: Mapping[str, Mapping[str, Any]], folder: str) -> list[str]:
    """Return a table of what was reproduced, with links below ``folder``, a line for each figure.

    Of experiments that are not finished it tells that.
    """
    rows = []
    for name, summary in sorted(summaries.items()):
        title = f"[{summary['title']}]({folder}/{name}/table.md)"
        if summary["finished"] < summary["cells"]:
            title += f", {summary['finished']} of {summary['cells']} cells"
        for what, line in _lines(summary):
            beside = "; ".join(f"{n} {_short(v)}" for n, v in line["published"].items())
            rows.append([title, what, _with(line, "mean"), beside])
            title = ""
    return _markdown(["experiment", "", "mean", "published"], rows, 2)


def _lines(summary: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the figures to tell of an experiment, each with what it is of."""
    cells = summary["headlines"][:MOST_HEADLINES]
    several = len(cells) > 1
    told = [(", ".join(line["labels"].values()) if several else "", line) for line in cells]
    for line in summary["aggregates"]:
        labels = ", ".join(line["labels"].values()) or "mean"
        told.append((f"{labels} over {line['tasks']}", line))
    return told


def _figures(summary: Mapping[str, Any]) -> str:
    state = f"{summary['finished']} of {summary['cells']} cells are finished"
    told = []
    for what, line in _lines(summary):
        beside = "".join(f", {name} {_short(v)}" for name, v in line["published"].items())
        told.append(f"{what or 'mean'}: {_with(line, 'mean')}{beside}")
    return "; ".join([state, *told]) + "."


def _state(summary: Mapping[str, Any], results: Sequence[Result]) -> str:
    made = f"{len(results)} of {summary['cells']} cells are finished"
    return f"Made by `{summary['command']}`; {made}."


def _made(results: Sequence[Result]) -> str:
    first = results[0]
    devices = ", ".join(sorted({str(r["device"]) for r in results}))
    versions = {f"{k} {v}" for r in results for k, v in r["versions"].items() if k in ("jax",)}
    measure = first["measure"]
    return (
        f"{NAMES[measure]} is {MEANINGS[measure]}; brackets are 95 % bootstrap intervals over "
        f"seeds. Seconds are those of training all seeds of a cell side by side, without "
        f"compiling, on {devices} ({', '.join(sorted(versions))})."
    )


def _cells(results: Sequence[Result]) -> list[str]:
    name = NAMES[results[0]["measure"]]
    axes = [a for a in results[0]["labels"] if len({r["labels"][a] for r in results}) > 1]
    columns = {(p["name"], p["measure"]): None for r in results for p in r["published"]}
    memory = any(r["peak_memory"] for r in results)
    own = [f"IQM of {name}", "mean", "seeds", "steps", "seconds", *["GiB"] * memory]
    heads = [f"{n}{_unit(m)}" for n, m in columns]
    rows = []
    for r in results:
        took = [f"{r['seconds']:,.1f}", *[_gib(r["peak_memory"])] * memory]
        told = [_with(r, "iqm"), _with(r, "mean"), str(r["seeds"]), f"{r['steps']:,}", *took]
        beside = {(p["name"], p["measure"]): p for p in r["published"]}
        rows.append(
            [*(r["labels"][a] for a in axes), *told, *(_cell(beside.get(c)) for c in columns)]
        )
    return _markdown([*axes, *own, *heads], rows, len(axes))


def _places(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    axes = [a for a in lines[0]["labels"] if len({line["labels"][a] for line in lines}) > 1]
    rows = [
        [
            *(line["labels"][a] for a in axes),
            line["place"],
            _interval(line["return"]),
            str(line.get("episodes", "")),
            *(_interval(line.get(name)) for name in ("first", "last", "wiped", "random")),
            _short(line.get("optimal")),
        ]
        for line in lines
    ]
    heads = ["place", "return", "inner episodes", "first", "last", "wiped", "random", "best"]
    return _markdown([*axes, *heads], rows, len(axes) + 1)


def _interval(number: Sequence[float] | None) -> str:
    return "" if number is None else "{:.3f} [{:.3f}, {:.3f}]".format(*number)


def _parts(lines: Sequence[Mapping[str, Any]]) -> dict[str, list]:
    found: dict[str, list] = {}
    for line in lines:
        found.setdefault(f"Mean over {line['over']}", []).append(line)
    return found


def _aggregates(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    axes = [a for a in lines[0]["labels"] if len({line["labels"][a] for line in lines}) > 1]
    columns = list(dict.fromkeys(name for line in lines for name in line["published"]))
    rows = [
        [
            *(line["labels"][a] for a in axes),
            f"{line['tasks']} of {line['of']}",
            _with(line, "iqm"),
            _with(line, "mean"),
            *(_short(line["published"].get(name)) for name in columns),
        ]
        for line in lines
    ]
    return _markdown([*axes, lines[0]["over"], "IQM", "mean", *columns], rows, len(axes))


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    rule = ["---"] * left + ["--:"] * (len(heads) - left)
    return [f"| {' | '.join(row)} |" for row in (heads, rule, *rows)]


def _with(line: Mapping[str, Any], name: str) -> str:
    prefix = "iqm_" if name == "iqm" else ""
    return f"{line[name]:.3f} [{line[prefix + 'low']:.3f}, {line[prefix + 'high']:.3f}]"


def _unit(measure: str) -> str:
    return {"seconds": " (s)", "peak_memory": " (GiB)"}.get(measure, "")


def _cell(published: Mapping[str, Any] | None) -> str:
    if published is None:
        return ""
    spread = f" ± {published['spread']:g}" if published["spread"] is not None else ""
    return f"{published['value']:g}{spread}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _gib(size: int | None) -> str:
    return "" if size is None else f"{size / 2**30:.2f}"
