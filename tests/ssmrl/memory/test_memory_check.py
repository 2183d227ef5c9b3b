"""The examination of a memory: a sound one passes, and each planted fault is found and named."""

import planted_memories as planted
import pytest

from agents.cli import main
from ssmrl.errors import UsageError
from ssmrl.memory import MLP, S5
from ssmrl.memory.check import check_shapes
from ssmrl.memory.examine import examine_memory

SHAPES = {  # what tracing shows
    planted.Integers: "returns y of int32[7,4], but it must be float[7,4]",
    planted.Complex: "returns y of complex64[7,4]",
    planted.TooWide: "returns y of float32[7,8], but it must be float[7,4]",
    planted.BatchFirst: "scan returns y of float32[7,5,4], but it must be float[5,7,4]",
    planted.ThreeValues: "step returns 3 values, but must return (state, y)",
    planted.Growing: "step is given the state as float32[7,4] and returns it as float32[7,8]",
    planted.OtherDtype: "step is given the state as float32[7,4] and returns it as bfloat16[7,4]",
    planted.OtherKind: "scan is given the state as float32[7,4] and returns it as missing",
    planted.NoBatch: "initial_state((7,)) gives state of float32[4]",
    planted.PythonIf: "cannot look at traced values: use jnp.where",
    planted.OtherParameters: "is missing where step makes it, but float32[4] where scan does",
    planted.OtherWidths: "is float32[6,4] where step makes it, but float32[5,4] where scan does",
    planted.IntegerParameter: "parameter ['params']['delay'] is int32[], but must be floating",
    planted.NoSuchParameter: "ssm_parameters names 'lambda_re', but its parameters are bias, ker",
    planted.NotATuple: "ssm_parameters is 'kernel', but must be a tuple",
    planted.NoWidth: "features is None, but must be the width of its outputs",
    planted.OnSelf: "SetAttributeFrozenModuleError: Can't set last",
    planted.Collection: "it keeps variables in 'counts'",
    planted.OwnChance: 'needs PRNG for "noise"',
    planted.Unready: "unexpected keyword argument 'prepared'",
    planted.StatesOfEveryStep: "returns states of 10 steps, every 2, as float32[10,7,4], but it",
    planted.NoStates: "scan_states returns 2 values, but must return (state, y, states)",
    planted.Raising: "KeyError: ",
}
FAULTS = {
    planted.FollowsInputs: ("bfloat16 inputs", "as float32[7,4] and returns it as bfloat16[7,4]"),
    planted.OneAxis: ("batch shapes", "a batch of shape () does not do as (7,) does: ValueError"),
    planted.NumpyChance: ("purity", "gave two programs"),
    planted.Counts: ("purity", "changed the attribute 'steps'"),
    planted.History: ("purity", "changed the attribute 'history'"),
    planted.FromOutside: ("jit", "the same inputs twice gave other outputs"),
    planted.OnlyOnce: ("jit", "calling callback"),
    planted.KnowsTracing: ("jit", "step without jit and with it differ by up to"),
    planted.ScanIsNotStep: ("scan and step", "the outputs of scan and of repeated steps differ"),
    planted.OtherState: ("scan and step", "the states after scan and after repeated steps differ"),
    planted.OtherGradient: ("scan and step", "gradients through scan and through repeated steps"),
    planted.OtherPieces: ("pieces", "of one scan of 8, the state carried, differ"),
    planted.DeafAtFirst: ("start at once", "scan that begins with a start still depends on"),
    planted.Overflows: ("numbers", "y is not finite (NaN or infinity) with ordinary inputs"),
    planted.NoGradientAtZero: ("numbers", "a gradient is not finite (NaN or infinity) with inputs"),
    planted.RootOfState: ("numbers", "a gradient is not finite (NaN or infinity) with inputs of"),
    planted.NoVmap: ("vmap", "vmap is only supported for"),
    planted.StatesBefore: (
        "scan_states",
        "the states of scan_states and after scans of 2 steps, the state carried, differ by up to",
    ),
    planted.StatesWithoutGradient: ("scan_states", "gradients through scan_states and through"),
    planted.WrongPrepare: ("prepare", "step with what prepare returned and without differ"),
    planted.MixesRows: ("batch rows", "depends on other rows of the batch"),
    planted.Backwards: ("order in time", "the output of step 0 depends on the input of step 1"),
    planted.LooksAhead: ("order in time", "the output of step 0 depends on the input of step 1"),
    planted.Leaks: ("start in value", "the output of step 4 changes with the state before"),
    planted.LeaksLater: ("start in value", "step 5 changes with the input of step 3, though step"),
    planted.LeaksMuchLater: (
        "start in value",
        "the output of step 8 changes with the state",
    ),
    planted.LeaksGradient: ("start in gradient", "the output of step 4 has a gradient, other than"),
    planted.ForgetsFirst: ("first input", "is forgotten after its step"),
    planted.HidesFirst: ("first input", "is lost to the output of its own step"),
    planted.Constant: ("remembering", "no output depends on any input"),
}
REMARKS = {
    planted.Sound: {},
    planted.OwnStates: {},
    planted.OwnWidth: {"contract": "only inputs as wide as its outputs fit; encode to that width"},
    planted.Multiplies: {
        "start at once": "a state that is not finite outlives a start; select with jnp.where"
    },
    planted.LearntStart: {
        "start at once": "an episode begins otherwise after a start than from initial_state"
    },
    planted.CannotLearn: {
        "remembering": "no gradient reaches an earlier input: what to keep cannot be learnt"
    },
}


def name(memory: type) -> str:
    return memory.__name__


@pytest.mark.parametrize("memory", SHAPES, ids=name)
def test_tracing_shows_faults_of_shapes(memory):
    with pytest.raises(UsageError) as error:
        check_shapes(memory(), 5)
    found = str(error.value)
    path = f"planted_memories:{memory.__name__}"
    assert found.startswith(f"memory '{path}': ")
    assert SHAPES[memory] in found
    assert found.endswith(f"; try it with: ssmrl check --memory {path}")
    assert "\n" not in found
    (first,) = examine_memory(memory())  # the examination begins with the same, and ends there
    assert first.subject == "contract"
    assert SHAPES[memory] in first.fault


def test_the_users_own_line_is_named():
    with pytest.raises(UsageError, match=r"tests/planted_memories\.py:\d+\); try it with"):
        check_shapes(planted.Raising(), 5)


@pytest.mark.parametrize("memory", FAULTS, ids=name)
def test_planted_fault_is_found(memory):
    subject, words = FAULTS[memory]
    found = next(f for f in examine_memory(memory()) if f.subject == subject)
    assert words in (found.fault or f"nothing: {found}")
    assert "\n" not in found.fault


@pytest.mark.parametrize("memory", REMARKS, ids=name)
def test_what_is_no_fault_is_remarked(memory):
    found = list(examine_memory(memory()))
    assert [f for f in found if f.fault] == []
    assert {f.subject: f.remark for f in found if f.remark} == REMARKS[memory]


def test_tracing_passes_sound_memories_of_any_width():
    for memory in (planted.Sound(), MLP(), S5()):  # of the default sizes: nothing is compiled
        check_shapes(memory, 3)
    check_shapes(planted.FollowsInputs(), 5)
    with pytest.raises(UsageError, match="returns it as bfloat16"):
        check_shapes(planted.FollowsInputs(), 5, "bfloat16")
    with pytest.raises(UsageError, match="incompatible shapes"):
        check_shapes(planted.OwnWidth(), 5)


def test_command_finds_faults(capsys):
    assert main(["check", "--memory", "planted_memories:ThreeValues"]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "planted_memories:ThreeValues"
    assert printed[1].startswith("  FAULT  contract: step returns 3 values")
    assert printed[2:] == ["1 to be mended"]
    wide = ["check", "--memory=planted_memories:ThreeValues", "--features", "7"]
    assert main(wide) == 1
    assert "  note   options: features=7\n" in capsys.readouterr().out
    assert main(["check", "--memory", "planted_memories:NoMaking"]) == 1
    assert (
        "FAULT  contract: memory 'planted_memories:NoMaking': RuntimeError: not today"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "check takes either an environment or a memory: ssmrl check (ENV | --memory NAME)"),
        (["popgym/RepeatFirst", "--memory", "s5"], "check takes either an environment or a memory"),
        (["--memory"], "--memory needs a memory's name, not True"),
        (["--memory", ""], "--memory needs a memory's name, not None"),
        (["--memory", "gruu"], "unknown memory 'gruu'; did you mean 'gru'?"),
        (["--memory", "gru", "--feature", "3"], "unknown key 'feature'; did you mean 'features'?"),
        (["--memory", "gru", "--features", "x"], "features must be a whole number, not 'x'"),
        (["--memory", "gru", "--features", "0"], "features must be at least 1, but is 0"),
        (["--memory", "gru", "extra"], "expected an option such as --seed 1, found 'extra'"),
        (["--memory", "nowhere:Memory"], "there is no module 'nowhere'"),
        (["--memory", "planted_memories:tickets"], "is not a class of flax modules"),
        (["--memory", "planted_memories:Demanding"], "give it as --decay-rate VALUE"),
    ],
)
def test_mistakes_end_in_one_sentence(arguments, sentence, capsys):
    assert main(["check", *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        main(["check", "--memory", "gru", "--help"])
    assert end.value.code == 0
    assert "usage: ssmrl check (ENV | --memory NAME)" in capsys.readouterr().out
