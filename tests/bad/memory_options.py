"""Names and options of memories that are none: after ``train quickstart``, and what to name."""

from bad.harness import Case

OPTIONS = {
    "name-": (["--memory.name", ""], "memory"),
    "name-unknown": (["--memory.name", "lstn"], "'lstn'"),
    "name-markup": (["--memory.name", "[b]"], r"'\[b\]'"),
    "name-no-import-path": (["--memory.name", "my module:M"], "'my module:M'"),
    "name-nowhere": (["--memory.name", "nowhere:M"], "no module 'nowhere'"),
    "name-builtin": (["--memory.name", "math:sqrt"], "math:sqrt"),
    "name-jax": (["--memory.name", "jax.numpy:zeros"], "jax.numpy:zeros"),
    "name-flax": (["--memory.name", "flax.linen:Dense"], "flax.linen:Dense.*initial_state"),
    "name-lstm-of-flax": (["--memory.name", "flax.linen:LSTMCell"], "LSTMCell"),
    "group": (["--memory", "gru"], "memory.*'gru'"),
    "features-0": (["--memory.features", "0"], "features.*0"),
    "features-negative": (["--memory.features", "-8"], "features.*-8"),
    "features-fraction": (["--memory.features", "1.5"], r"features.*1\.5"),
    "features-text": (["--memory.features", "wide"], "features.*'wide'"),
    "features-nan": (["--memory.features", "nan"], "features.*'nan'"),
    "features-none": (["--memory.features", "none"], "features.*'none'"),
    "features-missing": (["--memory.features"], "features needs a value"),
    "features-list": (["--memory.features", "8,8"], "features.*'8,8'"),
    "features-1e12": (["--memory.features", "1000000000000"], "features|1000000000000"),
    "features-1e9": (["--memory.features", "1e9"], "features|GiB"),
    "features-1e6": (["--memory.features", "1e6"], "(features|1000000|GiB)"),
    "features-1e30": (["--memory.features", "1e30"], "features"),
    "features-5000-digits": (["--memory.features", "9" * 5000], "features"),
    "num-layers-0": (["--memory.num-layers", "0"], "num_layers.*0"),
    "num-layers-1e7": (["--memory.num-layers", "10000000"], "num_layers|10000000|GiB"),
    "num-layers-1e18": (["--memory.num-layers", "1e18"], "num_layers"),
    "state-size-odd": (["--memory.state-size", "7"], "state_size.*7"),
    "state-size-1e6": (["--memory.state-size", "1e6"], "state_size|1000000|GiB"),
    "norm": (["--memory.norm", "layer"], "norm.*'layer'"),
    "option-of-another": (["--memory.name", "gru", "--memory.state-size", "8"], "state_size"),
    "context-0": (["--memory.name", "transformer", "--memory.context", "0"], "context.*0"),
    "context-1e9": (["--memory.name", "transformer", "--memory.context", "1e9"], "context.*32768"),
    "context-too-large": (
        ["--memory.name=transformer", "--memory.context=32768",
         "--ppo.num-envs=4096", "--total-steps=1e9"],
        r"at least 256\.03 GiB.*memory.context",
    ),
    "num-heads-odd": (["--memory.name", "transformer", "--memory.num-heads", "5"], "num_heads=5"),
    "resets": (["--memory.resets", "maybe"], "resets.*'maybe'"),
    "learned-start-without-starts": (
        ["--memory.learned-start", "true", "--memory.resets", "false"], "learned_start=True",
    ),
    "option-unknown": (["--memory.heads", "8"], "memory.heads"),
    "own-features-0": (
        ["--memory.name", "bad.sound:SoundMemory", "--memory.features", "0"], "features|0",
    ),
    "own-features-negative": (
        ["--memory.name", "bad.sound:SoundMemory", "--memory.features", "-3"], "features|-3",
    ),
    "own-features-text": (
        ["--memory.name", "bad.sound:SoundMemory", "--memory.features", "x"], "features.*'x'",
    ),
    "own-features-huge": (
        ["--memory.name", "bad.sound:SoundMemory", "--memory.features", "1e12"],
        "features|1000000000000",
    ),
    "own-unknown-option": (
        ["--memory.name", "bad.sound:SoundMemory", "--memory.width", "8"], "width",
    ),
}  # fmt: skip
CASES = {
    name: Case(["train", "quickstart", *options], words)
    for name, (options, words) in OPTIONS.items()
}
