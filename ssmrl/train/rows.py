"""Rows of metrics as lines of JSON, and what is none."""

import json
import math
from collections import Counter
from typing import Any

Row = dict[str, Any]


def parse_rows(content: bytes) -> tuple[list[Row], int]:
    """Return the rows in what metrics.jsonl holds, and how many of its lines are none.

    A last line without its newline was cut off while it was written, which is no damage.
    """
    found, others = parse_lines(content)
    rows = [row for row in found if _is_whole(row)]
    others += len(found) - len(rows)
    widths = Counter(_width(row) for row in rows)
    if len(widths) > 1:  # rows of another number of seeds come from another run
        usual = widths.most_common(1)[0][0]
        odd = [row for row in rows if _width(row) != usual]
        rows = [row for row in rows if _width(row) == usual]
        others += len(odd)
    return rows, others


def parse_lines(content: bytes) -> tuple[list[Row], int]:
    """Return the mappings that lines of JSON hold, and how many lines hold none."""
    read = [_parse(line) for line in content.split(b"\n")[:-1]]
    found = [row for row in read if row is not None]
    return found, len(read) - len(found)


def _parse(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # no JSON, no text, numbers without end
        return None
    return row if isinstance(row, dict) else None


def _is_whole(row: Row) -> bool:
    """Return whether resuming and plotting find what they need."""
    counts = (row.get("update"), row.get("env_steps"))
    if not all(type(count) is int and 0 <= count < 2**63 for count in counts):
        return False
    returns = row.get("episode_return_mean", "missing")
    returns = returns if isinstance(returns, list) else [returns]
    return _is_number(row.get("seconds")) and all(r is None or _is_number(r) for r in returns)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)


def _width(row: Row) -> int | None:
    returns = row["episode_return_mean"]
    return len(returns) if isinstance(returns, list) else None
