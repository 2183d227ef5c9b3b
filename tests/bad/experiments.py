"""Experiments that are wrong: what is changed in a sound one, and what to name."""

from bad.harness import Case

SOUND = """\
title: One
base: quickstart
seeds: 2
measure: mmer
grid:
  memory:
    s5: {}
    mlp: {memory: {name: mlp}}
  env:
    first: {env: {name: popgym/RepeatFirstEasy}}
published:
- {name: theirs, source: Someone 2020, where: {memory: s5}, values: {first: 0.5}}
"""

# A piece of the sound one, what stands there instead, and what to name.
CHANGES: dict[str, tuple[str, str, str]] = {
    "key": ("seeds:", "sedes:", "'sedes'.*'seeds'"),
    "published-key": ("source:", "sauce:", r"'published\.sauce'.*'published\.source'"),
    "no-title": ("title: One\n", "", "title"),
    "no-grid": (SOUND[SOUND.index("grid") : SOUND.index("published")], "", "grid"),
    "no-source": (", source: Someone 2020", "", "'theirs'.*no source"),
    "empty-source": ("Someone 2020", "' '", "'theirs'.*no source"),
    "no-value": ("{first: 0.5}", "{first: }", "'theirs'.*None"),
    "value-is-text": ("0.5", "half", "'theirs'.*'half'"),
    "value-of-three": ("0.5", "[1, 2, 3]", r"'theirs'.*\[1, 2, 3\]"),
    "value-of-no-label": ("{first: 0.5}", "{frist: 0.5}", "'theirs'.*'frist'.*'first'"),
    "value-of-no-axis": ("{memory: s5}", "{memry: s5}", "'theirs'.*memry"),
    "where-no-label": ("where: {memory: s5}", "where: {memory: s6}", "'theirs'.*'s6'.*s5"),
    "value-of-many": ("{first: 0.5}", "0.5", "'theirs'.*env"),
    "value-of-other-measure": ("values:", "measure: seconds, values:", "'theirs'.*'seconds'"),
    "label-twice": ("    mlp:", "    s5:", "'s5' is given twice"),
    "label-in-two-axes": ("    first:", "    s5:", "env.*memory.*'s5'"),
    "label-is-path": ("    first:", "    a/b:", "'a/b'"),
    "label-has-dash": ("    first:", "    a-b:", "'a-b'"),
    "label-is-flag": ("    first:", "    yes:", "True"),
    "axis-is-list": ("{env: {name: popgym/RepeatFirstEasy}}", "[1]", r"grid\.env\.first.*\[1\]"),
    "measure": ("mmer", "mmre", "'mmre'.*'mmer'"),
    "not-evaluated": ("measure: mmer", "measure: greedy\nevaluate: false", "'greedy'.*evaluate"),
    "two-measures": ("measure: mmer", "measure: [mmer, greedy]", "measure.*'mmer', 'greedy'"),
    "cost-alone": ("measure: mmer", "measure: seconds", "measure.*'seconds'"),
    "seeds": ("seeds: 2", "seeds: 0", "seeds.*0"),
    "base": ("base: quickstart", "base: quikstart", "'quikstart'.*'quickstart'"),
    "base-is-list": ("base: quickstart", "base: [1]", r"base.*\[1\]"),
    "option": ("{name: mlp}", "{name: mlp, size: 3}", r"'mlp-first'.*'memory\.size'"),
    "memory": ("{name: mlp}", "{name: mpl}", "'mlp-first'.*'mpl'"),
    "aggregate": ("seeds: 2", "aggregate: {over: envs}", "'envs'.*'env'"),
    "divisors": ("seeds: 2", "aggregate: {over: env, divide_by: {frist: 1}}", "divide_by.*first"),
    "divisor-0": ("seeds: 2", "aggregate: {over: env, divide_by: {first: 0}}", "divide_by.*first"),
    "exclude": ("seeds: 2", "exclude: [{memory: gru}]", "exclude.*'gru'"),
    "exclude-all": ("seeds: 2", "exclude: [{env: first}]", "exclude"),
    "also": ("seeds: 2", "also: [{where: {env: frist}, seed: 3}]", "also.*'frist'.*'first'"),
    "also-nowhere": ("seeds: 2", "also: [{seed: 3}]", "also.*None"),
    "also-option": ("seeds: 2", "also: [{where: {env: first}, sede: 3}]", "'s5-first'.*'sede'"),
    "elsewhere-option": ("seeds: 2", "elsewhere: {far: {nam: x}}", "'nam'.*'name'"),
    "elsewhere-text": ("seeds: 2", "elsewhere: {far: x}", r"elsewhere\.far.*'x'"),
    "elsewhere-where": (
        "seeds: 2",
        "elsewhere: {far: {where: {env: frist}}}",
        r"elsewhere\.far.*'frist'.*'first'",
    ),
    "elsewhere-not-played": ("seeds: 2", "evaluate: false\nelsewhere: {far: {}}", "evaluate"),
    "place": ("measure: mmer", "measure: greedy\nelsewhere: {far: {}}\nplace: fra", "'fra'.*'far'"),
    "place-of-mmer": ("seeds: 2", "elsewhere: {far: {}}\nplace: far", "place 'far'.*mmer"),
    "exclude-text": ("seeds: 2", "exclude: [s5]", "exclude.*'s5'"),
}
FILE = {"mine.yaml": SOUND}
HERE = ["reproduce", "mine.yaml"]
CASES: dict[str, Case] = {
    "unknown": Case(["reproduce", "paper/popgym_hrad"], "'paper/popgym_hrad'.*'paper/popgym_hard'"),
    "no-file": Case(HERE, "mine.yaml"),
    "preset": Case(["reproduce", "quickstart"], "'quickstart'"),
    "minutes": Case([*HERE, "--minutes", "0"], r"--minutes.*0\.0", FILE),
    "minutes-nan": Case([*HERE, "--minutes", "nan"], "--minutes.*nan", FILE),
    "minutes-text": Case([*HERE, "--minutes", "x"], "--minutes.*'x'", FILE),
    "seeds-0": Case([*HERE, "--seeds", "0"], "--seeds.*0", FILE),
    "only": Case([*HERE, "--only", "frist"], "--only 'frist'.*'first'", FILE),
    "only-none-left": Case([*HERE, "--only"], "--only", FILE),
    "no-jobs": Case([*HERE, "--jobs", "0"], "--jobs.*0", FILE),
    "both": Case([*HERE, "--tables", "--dry-run"], "--dry-run", FILE),
    "no-tables": Case([*HERE, "--tables"], "'results/mine'", FILE),
    "no-name": Case(["reproduce", "--dry-run"], "--dry-run"),
    "damaged-cell": Case(HERE, "s5-first.json", {**FILE, "results/mine/cells/s5-first.json": "{"}),
}
for name, (piece, instead, words) in CHANGES.items():
    assert SOUND.count(piece) == 1, name
    CASES[name] = Case(HERE, words, {"mine.yaml": SOUND.replace(piece, instead)})
