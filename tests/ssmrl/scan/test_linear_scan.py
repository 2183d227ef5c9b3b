"""The recurrence against loops in double precision: values and all derivatives."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from scan_oracle import BATCH, check, check_half_precision, draw_problem

from ssmrl.scan import IMPLEMENTATIONS

PORTABLE = [name for name in IMPLEMENTATIONS if name != "mosaic"]  # which has its own tests
resets = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "density": st.sampled_from([0.0, 0.05, 0.5, 1.0]),
        # t = 0, the last step and two in a row are the places where an index goes wrong
        "forced": st.lists(
            st.tuples(st.sampled_from([0, 1, 2, -1]), st.integers(0, BATCH - 1)), max_size=4
        ),
    }
)

# Every kind at small lengths; at the large ones, which compile for seconds, the planar kind of S5.
CASES = [
    *[(num_steps, "planar", varies) for num_steps in (1, 2, 17) for varies in (False, True)],
    *[(3, kind, varies) for kind in ("real", "complex") for varies in (False, True)],
    (128, "planar", False),
    (1000, "planar", True),
    (4096, "planar", False),
]


@pytest.mark.parametrize("implementation", PORTABLE)
@pytest.mark.parametrize(("num_steps", "kind", "varies"), CASES)
@settings(max_examples=6, deadline=None)
@given(drawn=resets)
def test_states_and_gradients_equal_the_loop(implementation, num_steps, kind, varies, drawn):
    p = draw_problem(num_steps=num_steps, is_complex=kind != "real", varies=varies, **drawn)
    check(implementation, kind, p)


@pytest.mark.parametrize("implementation", PORTABLE)
def test_half_precision_inputs_are_summed_in_single(implementation):
    check_half_precision(implementation)
