"""What other people's code raises, as one sentence with the line that it came from."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssmrl.errors import TrainingError, UsageError
from ssmrl.foreign import foreign, own_words

HERE = f"{__file__}:"


def caught(function, *args, way_out=""):
    """Return the sentence, without this file's path, after the line of this file."""
    with pytest.raises(UsageError) as info, foreign("it", way_out):
        function(*args)
    assert "\n" not in str(info.value)
    return str(info.value).replace(HERE, ":"), info.value.__cause__


def fails(error):
    raise error


LINE = fails.__code__.co_firstlineno + 1
KEPT = []


def test_words_line_way_out_and_cause():
    error = ValueError("first line\nsecond line")
    sentence, cause = caught(fails, error, way_out="mend it")
    assert sentence == f"it: ValueError: first line (:{LINE}); mend it"
    assert cause is error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotImplementedError(), "NotImplementedError in fails"),
        (SystemExit(2), "SystemExit: 2"),
        (KeyError("a"), "KeyError: 'a'"),
        (ValueError(" \n "), "ValueError in fails"),
    ],
)
def test_errors_of_few_words(error, words):
    assert caught(fails, error)[0] == f"it: {words} (:{LINE})"


@pytest.mark.parametrize("error", [UsageError("ours"), TrainingError("ours"), KeyboardInterrupt()])
def test_what_passes_as_it_is(error):
    with pytest.raises(type(error)) as info, foreign("it"):
        raise error
    assert info.value is error


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda x: 1 if x > 0 else 2, "Python's if, while, int() and float() cannot look at"),
        (lambda x: np.asarray(x), "NumPy cannot look at traced values: use jax.numpy"),
        (lambda x: x + KEPT[0], "nothing that is computed while tracing may be kept outside"),
    ],
)
def test_hints_for_what_tracing_forbids(function, hint):
    jax.eval_shape(KEPT.append, jnp.zeros(()))
    sentence, _ = caught(jax.jit(function), jnp.zeros(()))
    assert "(:" in sentence
    assert hint in sentence


def test_the_line_of_a_package_where_none_is_the_users():
    with pytest.raises(ValueError, match="structure") as info:
        optax.apply_updates({"a": 1.0}, [1.0])
    within = info.value.with_traceback(info.value.__traceback__.tb_next)  # without this file
    assert f"({optax.__path__[0]}/" in own_words(within)
