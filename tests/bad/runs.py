"""Damages to the folder of a run of four updates, with checkpoints after 2 and 4, and what follows.

Where something whole is left the command works, and says what it passed over.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from bad.damages import (
    Damage,
    both,
    cut_end,
    file,
    flip,
    folder,
    insert_row,
    link,
    lose_page,
    remove,
    remove_some,
    replace,
    rows,
    truncate,
    write,
)

RESUME = ("train", "--resume", "run")
GO_ON = (*RESUME, "--total-steps", "384")  # two updates more, so that metrics are written too
EVAL = ("eval", "run", "--episodes", "4")
PLOT = ("plot", "run")
RENDER = ("render", "run", "--max-steps", "2")


@dataclass(frozen=True)
class Damaged:
    """What is done to the run ``run``, the commands tried, and what they print or refuse with."""

    damage: Damage
    commands: Sequence[Sequence[str]]
    words: str  # a regular expression, of the output where it works, of the message where not
    works: bool


MANIFESTS: dict[str, str | bytes] = {
    "list": "[1, 2]", "number": "7", "text": '"whole"', "null": "null", "true": "true",
    "empty": "", "binary": bytes(range(256)), "cut": '{"leaves": {"', "no-json": "hello",
    "files-number": '{"files": 3}', "files-list": '{"files": ["a"]}', "deep": "[" * 100_000,
    "nan": "NaN", "digits": "9" * 5000, "leaves-list": '{"leaves": [1]}',
    "leaves-number": '{"leaves": 5}',
}  # fmt: skip
PASSED_OVER = r"checkpoint.* 4\b(.|\n)*restored the state after update 2"
CASES: dict[str, Damaged] = {
    f"manifest-{name}": Damaged(write("checkpoints/4.json", text), (RESUME,), PASSED_OVER, True)
    for name, text in MANIFESTS.items()
}
FALL_BACK = {
    "manifest-folder": folder("checkpoints/4.json"),
    "truncated": truncate(4),
    "flipped": flip(4),
    "half-copied": both(remove_some(4), remove("checkpoints/4.json")),
    "files-missing": remove_some(4),
    "emptied": folder("checkpoints/4"),
    "emptied-without-manifest": both(folder("checkpoints/4"), remove("checkpoints/4.json")),
    "more-files": write("checkpoints/4/more", "x"),
    "one-file": both(file("checkpoints/4")),
    "one-loop": link("checkpoints/4", "4"),
    "one-dangling": link("checkpoints/4", "nowhere"),
}
CASES |= {n: Damaged(d, (RESUME, EVAL), PASSED_OVER, True) for n, d in FALL_BACK.items()}
BARE = r"checkpoint.* {}\b(.|\n)*restored the state after update 4"
for _name, _damage, _number in (
    ("bare-newer", folder("checkpoints/6"), 6),
    ("bare-huge", folder("checkpoints/99999999999999999999"), 99999999999999999999),
    ("bare-with-manifest", both(folder("checkpoints/6"), write("checkpoints/6.json", "{}")), 6),
):
    CASES[_name] = Damaged(_damage, (RESUME, EVAL), BARE.format(_number), True)
for _name, _damage in (
    ("manifest-without-checkpoint", write("checkpoints/6.json", "{}")),
    ("older-manifest-missing", remove("checkpoints/2.json")),
    ("older-manifest-list", write("checkpoints/2.json", "[]")),
    ("other-folder", folder("checkpoints/notes")),
    ("other-file", write("checkpoints/notes.txt", "mine")),
    ("unfinished", folder("checkpoints/6.orbax-checkpoint-tmp-0")),
    ("older-damaged", truncate(2)),
):
    CASES[_name] = Damaged(_damage, (RESUME, EVAL), "restored the state after update 4", True)
for _name, _damage in (  # the newest may be whole: then either will do
    ("manifest-missing", remove("checkpoints/4.json")),
    ("manifest-loop", link("checkpoints/4.json", "4.json")),
):
    CASES[_name] = Damaged(_damage, (RESUME, EVAL), "restored the state after update [24]", True)
for _name, _damage, _words in (
    ("all-damaged", both(truncate(4), truncate(2)), "checkpoint.*damaged"),
    ("all-emptied", both(folder("checkpoints/4"), folder("checkpoints/2")), "checkpoint"),
    ("checkpoints-file", file("checkpoints"), "checkpoints"),
    ("checkpoints-loop", link("checkpoints", "checkpoints"), "checkpoints"),
):
    CASES[_name] = Damaged(_damage, (RESUME, EVAL, RENDER), _words, False)
NO_CHECKPOINT = "no checkpoint"
for _name, _damage in (
    ("checkpoints-missing", remove("checkpoints")),
    ("checkpoints-empty", folder("checkpoints")),
):
    CASES[f"{_name}-resume"] = Damaged(_damage, (RESUME,), NO_CHECKPOINT, True)
    CASES[f"{_name}-eval"] = Damaged(_damage, (EVAL, RENDER), NO_CHECKPOINT, False)

# Rows of metrics that are none: left out with one warning by whoever reads them.
ROWS = {
    "binary": insert_row(2, bytes(range(128, 256))),
    "number": insert_row(2, "5"),
    "null": insert_row(2, "null"),
    "list": insert_row(2, "[1]"),
    "text": insert_row(2, '"row"'),
    "no-json": insert_row(2, "hello"),
    "blank": insert_row(2, ""),
    "empty-row": insert_row(2, "{}"),
    "deep": insert_row(2, "[" * 100_000),
    "digits": insert_row(2, '{"update": ' + "9" * 5000 + "}"),
    "lost-page": lose_page,
    "no-update": rows(lambda row: {k: v for k, v in row.items() if k != "update"}),
    "no-steps": rows(lambda row: {k: v for k, v in row.items() if k != "env_steps"}),
    "no-return": rows(lambda row: {k: v for k, v in row.items() if k != "episode_return_mean"}),
    "update-text": rows(lambda row: row | {"update": "three"}),
    "update-null": rows(lambda row: row | {"update": None}),
    "return-text": rows(lambda row: row | {"episode_return_mean": "high"}),
    "return-list": rows(lambda row: row | {"episode_return_mean": [1.0, 2.0]}),
    "steps-list": rows(lambda row: row | {"env_steps": [1, 2]}),
}
for _name, _damage in ROWS.items():
    CASES[f"rows-{_name}"] = Damaged(_damage, (GO_ON, PLOT), "metrics.jsonl", True)
CASES |= {
    "rows-cut-end": Damaged(cut_end, (PLOT,), "curves in", True),
    "rows-missing-resume": Damaged(remove("metrics.jsonl"), (GO_ON,), "", True),
    "rows-missing-plot": Damaged(remove("metrics.jsonl"), (PLOT,), "run|metrics.jsonl", False),
    "rows-empty-plot": Damaged(
        write("metrics.jsonl", b""), (PLOT,), "run|metrics.jsonl", False
    ),
    "rows-all-binary": Damaged(
        write("metrics.jsonl", bytes(range(256)) * 9 + b"\n"), (GO_ON,), "metrics.jsonl", True
    ),
    "rows-all-binary-plot": Damaged(
        write("metrics.jsonl", bytes(range(256)) * 9 + b"\n"), (PLOT,), "run|metrics", False
    ),
    "rows-folder": Damaged(folder("metrics.jsonl"), (GO_ON, PLOT), "metrics.jsonl", False),
    "rows-loop": Damaged(
        link("metrics.jsonl", "metrics.jsonl"), (GO_ON, PLOT), "metrics.jsonl", False
    ),
}  # fmt: skip

# config.yaml.
ALL = (RESUME, EVAL, PLOT, RENDER)
CONFIGS = {
    "missing": (remove("config.yaml"), "config.yaml"),
    "empty": (write("config.yaml", b""), "config.yaml"),
    "binary": (write("config.yaml", bytes(range(256))), "config.yaml"),
    "list": (write("config.yaml", "[1, 2]"), "config.yaml"),
    "null": (write("config.yaml", "null"), "config.yaml"),
    "cut": (write("config.yaml", "env: {name: pro"), "config.yaml"),
    "folder": (folder("config.yaml"), "config.yaml"),
    "loop": (link("config.yaml", "config.yaml"), "config.yaml"),
    "dangling": (link("config.yaml", "nowhere"), "config.yaml"),
    "unknown-key": (replace("config.yaml", "^seed: 0", "sede: 0"), "'sede'"),
    "wrong-type": (replace("config.yaml", "^seed: 0", "seed: one"), "seed.*'one'"),
    "key-twice": (replace("config.yaml", "^seed: 0", "seed: 0\nseed: 1"), "config.yaml.*seed"),
    "agent": (replace("config.yaml", "^agent: ppo", "agent: dqn"), "'dqn'"),
}
for _name, (_damage, _words) in CONFIGS.items():
    CASES[f"config-{_name}"] = Damaged(_damage, ALL, _words, False)
for _name, _old, _new, _words in (
    ("env", "probes:Cue", "probes:Action", "env.*probes:(Cue|Action)"),
    ("env-missing", "probes:Cue", "probes:Gone", "probes:Gone|'Gone'"),
    ("memory", "name: mlp", "name: gru", "memory|checkpoint"),
    ("width", "^  features: 8", "  features: 16", "checkpoint.*float32|features"),
    ("huge", "features: 8", "features: 1000000000000", "features|1000000000000|checkpoint"),
):
    _damage = replace("config.yaml", _old, _new)
    CASES[f"edited-{_name}"] = Damaged(_damage, (GO_ON, EVAL, RENDER), _words, False)
for _name, _old, _new, _words in (
    ("more-envs", "num_envs: 4", "num_envs: 8", r"num_envs(.|\n)*8"),
    ("seeds", "^num_seeds: 1", "num_seeds: 2", r"num_seeds(.|\n)*2"),
    ("gamma", r"gamma: 0\.99", "gamma: 0.5", r"gamma(.|\n)*0\.5"),
    ("rate", r"learning_rate: 0\.002", "learning_rate: 0.1", r"learning_rate(.|\n)*0\.1"),
    ("seed", "^seed: 0", "seed: 5", r"seed(.|\n)*5"),
    ("clip", r"clip_epsilon: 0\.2", "clip_epsilon: 0.9", r"clip_epsilon(.|\n)*0\.9"),
):
    CASES[f"edited-{_name}"] = Damaged(
        replace("config.yaml", _old, _new), (GO_ON, EVAL), _words, True
    )

# Numbers and names beside a whole run; the folder itself.
WHOLE: Damage = lambda run: None  # noqa: E731
for _words, _line in (
    ("--episodes.*0", ("eval", "run", "--episodes", "0")),
    ("--episodes.*-1", ("eval", "run", "--episodes", "-1")),
    ("episodes.*1000000000000", ("eval", "run", "--episodes", "1000000000000")),
    ("episodes", ("eval", "run", "--episodes", "9" * 5000)),
    ("--seed.*-1", ("eval", "run", "--seed", "-1")),
    ("--seed.*2147483648", ("eval", "run", "--seed", str(2**31))),
    ("--seed", ("eval", "run", "--seed", str(10**30))),
    ("--seed.*-1", ("render", "run", "--seed", "-1")),
    ("--seed.*2147483648", ("render", "run", "--seed", str(2**31))),
    ("--seed", ("render", "run", "--seed", str(10**30))),
    ("'episode.mp4'", ("render", "run", "--out", "episode.mp4")),
    ("'episode'", ("render", "run", "--out", "episode")),
    ("nowhere/a.gif", ("render", "run", "--out", "nowhere/a.gif", "--max-steps", "2")),
    ("b.gif", ("render", "run", "--out", "run/metrics.jsonl/b.gif", "--max-steps", "2")),
    ("(?i)f.gif", ("render", "run", "--out", "f.gif", "--max-steps", "2")),
    ("'picture.xyz'", ("plot", "run", "--out", "picture.xyz")),
    ("'picture'", ("plot", "run", "--out", "picture")),
    ("nowhere/a.png", ("plot", "run", "--out", "nowhere/a.png")),
    ("f.png", ("plot", "run", "--out", "f.png")),
    ("--out", ("plot", "run", "run")),
    ("'nowhere'", ("plot", "run", "nowhere", "--out", "a.png")),
    ("total.steps.*256", ("train", "--resume", "run", "--total-steps", "100")),
    ("total.steps", ("train", "--resume", "run", "--total-steps", "1e30")),
    ("total.steps.*'x'", ("train", "--resume", "run", "--total-steps", "x")),
    ("total.steps", ("train", "--resume", "run", "--total-steps")),
    ("--total-steps", ("train", "--resume", "run", "--seed", "3")),
    ("'quickstart'", ("train", "quickstart", "--resume", "run")),
    ("'run' exists already", ("train", "quickstart", "--run-dir", "run")),
    ("'run/metrics.jsonl'", ("train", "--resume", "run/metrics.jsonl")),
    ("'run/checkpoints'", ("eval", "run/checkpoints")),
):
    _name = " ".join(part[:20] for part in _line)
    CASES[_name] = Damaged(both(folder("../f.gif"), folder("../f.png")), (_line,), _words, False)
CASES |= {
    "evaluation-folder": Damaged(
        folder("evaluation.json"), (RESUME, EVAL), "evaluation.json", False
    ),
    "curve-folder": Damaged(folder("curve.png"), (PLOT,), "curve.png", False),
    "episode-folder": Damaged(folder("episode.gif"), (RENDER,), "episode.gif", False),
    "markup": Damaged(
        lambda run: shutil.copytree(run, run.parent / "a[b]$x_$") and None,
        (
            ("train", "--resume", "a[b]$x_$"),
            ("eval", "a[b]$x_$", "--episodes", "4"),
            ("plot", "a[b]$x_$"),
            ("plot", "run", "a[b]$x_$", "--out", "a[b]$x_$/both$.png"),
            ("render", "a[b]$x_$", "--max-steps", "2"),
        ),
        r"a\[b\]\$x_\$",
        True,
    ),
    "link-to-a-run": Damaged(link("../other", "run"), (("plot", "other"),), "other", True),
}  # fmt: skip
