"""Where agents played after training, as trained and elsewhere: a line and a curve for each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ssmrl.report.adaptation import Adaptation

HOME = "as trained"
Number = tuple[float, float, float] | None  # a mean and its 95 % interval


def places(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the evaluations of a cell, by place; empty ones are left out."""
    found = {HOME: record["evaluation"], **record.get("elsewhere", {})}
    return {place: told for place, told in found.items() if told}


def has_more(records: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether there is more to tell than the return where agents were trained."""
    told = [places(record) for record in records]
    return any(len(p) > 1 or any("adaptation" in e for e in p.values()) for p in told)


def lines(records: Sequence[Mapping[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return for each cell and place the return of ``kind`` of playing, and of trials more.

    That is the number of inner episodes, the ``first`` and the ``last`` one's return, the last
    one's with memory ``wiped`` and of ``random`` actions, and the best possible as ``optimal``.
    """
    return [
        {"labels": dict(record["labels"]), "place": place, **_told(evaluation, kind)}
        for record in records
        for place, evaluation in places(record).items()
    ]


def curves(record: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Adaptation]]:
    """Yield the curves by inner episode: of each place, and of its controls where it is longest."""
    told = {p: e["adaptation"] for p, e in places(record).items() if "adaptation" in e}
    for place, found in told.items():
        yield place, Adaptation.from_mapping(found[kind])
    if told:
        longest = max(told.values(), key=lambda found: len(found[kind]["mean"]))
        for control in ("memory wiped", "random"):
            yield control, Adaptation.from_mapping(longest[control])


def _told(evaluation: Mapping[str, Any], kind: str) -> dict[str, Any]:
    whole = evaluation[kind]
    line: dict[str, Any] = {"return": _number(whole["mean"], *(whole["mean_interval"] or ()))}
    found = evaluation.get("adaptation")
    if found is None:
        return line
    at = lambda name, i: _number(*(found[name][part][i] for part in ("mean", "low", "high")))  # noqa: E731
    line |= {"episodes": len(found[kind]["mean"]), "optimal": found["optimal"]}
    line |= {"first": at(kind, 0), "last": at(kind, -1)}
    return line | {"wiped": at("memory wiped", -1), "random": at("random", -1)}


def _number(*parts: float | None) -> Number:
    return None if None in parts or len(parts) < 3 else parts  # type: ignore[return-value]
