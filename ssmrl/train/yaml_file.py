"""YAML as configs are written in it: no dates, no key twice, nothing without end."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ssmrl.errors import UsageError

MOST_VALUES = 10_000  # in one file, anchors followed: what refers to itself has no end


class _Loader(yaml.SafeLoader):
    """Reads plain values only, and refuses keys that are given twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[Hashable] = set()
        for key, _ in node.value:
            name = str(key.value).replace("-", "_")
            if name in seen:
                twice = f"key {name!r} is given twice"
                raise yaml.MarkedYAMLError(problem=twice, problem_mark=key.start_mark)
            seen.add(name)
        return node


def _number_or_text(loader: Any, node: yaml.ScalarNode) -> Any:
    """Keep 5,000 digits as text: whoever asks for a number can name the key."""
    try:
        return loader.construct_yaml_int(node)
    except ValueError:
        return node.value


_Loader.add_constructor("tag:yaml.org,2002:int", _number_or_text)
_DATE = "tag:yaml.org,2002:timestamp"
_Loader.add_constructor(_DATE, lambda _, node: node.value)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str) -> Any:
    """Return what ``text`` holds; raise ``UsageError`` with the reader's words where it fails."""
    try:
        value = yaml.load(text, _Loader)
    except RecursionError:
        raise UsageError("it nests too deeply") from None
    except Exception as error:  # beside YAMLError whatever the constructors of odd tags raise
        words = " ".join(str(error).split())
        raise UsageError(words.replace(' in "<unicode string>",', " in")) from None
    _check_ends(value)
    return value


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a file; raise ``UsageError`` where there is none."""
    if path.exists() and not path.is_file():
        raise UsageError(f"config file {str(path)!r} is no file")
    try:
        text = path.read_text(encoding="utf-8")
        mapping = parse_yaml(text)
    except OSError as error:
        raise UsageError(f"cannot read config file {str(path)!r}: {error.strerror}") from None
    except UnicodeError as error:
        raise UsageError(f"config file {str(path)!r} is not text: {error}") from None
    except UsageError as error:
        raise UsageError(f"config file {str(path)!r} is not valid YAML: {error}") from None
    if not isinstance(mapping, dict):
        raise UsageError(f"config file {str(path)!r} must hold a mapping of options")
    return mapping


def _check_ends(value: Any) -> None:
    """Raise ``UsageError`` where anchors make a value endless, or as good as that."""
    waiting, count = [value], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if count > MOST_VALUES:
            raise UsageError(f"it holds more than {MOST_VALUES:,} values")
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set):
            waiting.extend(value)
