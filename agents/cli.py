"""The ``ssmrl`` command. Heavy imports wait until they are needed."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from ssmrl.errors import TrainingError, UsageError, shown

TRAIN = "[CONFIG] [--resume RUN] [--OPTION VALUE ...]"
CHECK = "(ENV | --memory NAME) [--OPTION VALUE ...]"  # names, or paths such as my_module:MyEnv


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 on success, 2 where the user erred, 1 where training failed."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with_traceback = "--traceback" in arguments
    arguments = [word for word in arguments if word != "--traceback"]
    try:
        if arguments[:1] == ["train"]:  # its options are those of the config, not of a parser
            return _train(arguments[1:])
        if arguments[:1] == ["check"] and not {"-h", "--help"} & {*arguments}:  # likewise
            return _check(arguments[1:])
        if arguments[:1] == ["eval"]:  # in another environment: --env.params.NAME VALUE
            return _eval(*_parser().parse_known_args(arguments))
        options = _parser().parse_args(arguments)
        return options.command(options)
    except UsageError as error:
        if with_traceback:
            traceback.print_exception(error)
        print(f"ssmrl: error: {error}", file=sys.stderr)
        return 2
    except TrainingError as error:
        print(f"ssmrl: stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ssmrl: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # of files: folders that are read-only, a disk that is full
        if error.filename is None:
            raise
        print(f"ssmrl: error: cannot use {error.filename!r}: {error.strerror}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ssmrl",
        description="Fully-jitted reinforcement learning with resettable state-space memory.",
        epilog="--traceback shows where an error came from, in your own code too.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("train", help=f"train an agent: {TRAIN}; train --help lists the options")

    words = "evaluate a run's agent, there or elsewhere: RUN [--env.params.NAME VALUE ...]"
    evaluate = commands.add_parser("eval", help=words, description=words, allow_abbrev=False)
    evaluate.add_argument("run", help="a run folder")
    evaluate.add_argument("--episodes", type=_whole, help="parallel ones of each kind and seed")
    evaluate.add_argument("--max-steps", type=_whole, help="where an episode is cut off")
    evaluate.add_argument("--seed", type=_whole, default=0, help="of the episodes")

    plot = commands.add_parser("plot", help="draw the learning curves of runs in one picture")
    plot.add_argument("runs", nargs="+", metavar="RUN", help="run folders")
    plot.add_argument("--out", help="picture to write; of one run by default its curve.png")
    plot.set_defaults(command=_plot)

    render = commands.add_parser("render", help="write an episode of a run's agent as a .gif")
    render.add_argument("run", help="a run folder")
    render.add_argument("--out", help="picture to write; by default the run's episode.gif")
    render.add_argument("--seed", type=_whole, default=0, help="of the episode")
    words = "which of several seeds, counted from 0; of a sweep, ssmrl eval tells the numbers"
    render.add_argument("--member", type=_whole, default=0, help=words)
    render.add_argument("--sampled", action="store_true", help="draw actions, as in training")
    render.add_argument("--max-steps", type=_whole, default=200, help="of an episode that goes on")
    render.set_defaults(command=_render)

    play = commands.add_parser("play", help="play an environment yourself, in the terminal")
    play.add_argument("env", help="a name, or the path of your own: my_module:MyEnv")
    play.add_argument("settings", nargs=argparse.REMAINDER, metavar="--PARAMETER VALUE ...")
    play.set_defaults(command=_play)

    again = commands.add_parser("reproduce", help="run a whole experiment, or list them")
    again.add_argument("name", nargs="?", help="an experiment's name, or a .yaml file of your own")
    again.add_argument("--minutes", type=_number, help="stop in time; the same command goes on")
    again.add_argument("--seeds", type=_whole, help="of each cell, instead of the experiment's")
    again.add_argument("--only", nargs="+", metavar="LABEL", help="cells, or labels of the grid")
    again.add_argument("--runs", metavar="DIR", help="of run folders; by default runs/reproduce")
    again.add_argument("--results", metavar="DIR", help="of tables; by default results")
    words = "processes that share the device, so that one trains while another compiles"
    again.add_argument("--jobs", type=_whole, default=1, help=words)
    instead = again.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="only tell how long it will take")
    instead.add_argument("--tables", action="store_true", help="only write the tables anew")
    again.set_defaults(command=_reproduce)

    words = "try an environment or a memory for what training would trip over"
    usage = f"ssmrl check {CHECK}"
    commands.add_parser("check", help=f"{words}: {CHECK}", description=words, usage=usage)

    show = commands.add_parser("list", help="list what there is by name")
    show.add_argument("what", choices=("envs", "memories", "agents", "configs"))
    show.set_defaults(command=_list)
    return parser


def _whole(typed: str) -> int:
    """Return a whole number; argparse itself would repeat thousands of digits."""
    try:
        return int(typed)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid int value: {shown(typed)}") from None


def _number(typed: str) -> float:
    try:
        return float(typed)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, not {shown(typed)}") from None


def _train(arguments: list[str]) -> int:
    from agents.commands import train
    from ssmrl.train.config import NoValue, parse_overrides

    config = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
    overrides = parse_overrides(["--help" if a == "-h" else a for a in arguments], ("sweep",))
    resume = overrides.pop("resume", None)
    if overrides.pop("help", False):
        return train.show_options(config, overrides)
    if isinstance(resume, NoValue | dict):
        raise UsageError("--resume needs the folder of a run")
    if resume is None:
        return train.start(config, overrides)
    if config is not None:
        raise UsageError(f"--resume takes its config from the run; drop {config!r}")
    return train.resume(resume, overrides)


def _eval(options: argparse.Namespace, others: list[str]) -> int:
    from agents.commands.evaluate import evaluate
    from ssmrl.registry import did_you_mean
    from ssmrl.train.config import parse_overrides

    elsewhere = parse_overrides(others)
    known = ("episodes", "max_steps", "seed", "env")
    for name in elsewhere:
        if name != "env" or not isinstance(elsewhere[name], dict):
            hint = did_you_mean(name, known)
            raise UsageError(f"eval has no option --{shown(name.replace('_', '-'))[1:-1]}{hint}")
    how = (options.run, options.episodes, options.seed, options.max_steps)
    return evaluate(*how, elsewhere.get("env"))


def _reproduce(options: argparse.Namespace) -> int:
    from agents.commands import reproduce

    if options.name is None:
        given = [n for n in ("minutes", "seeds", "only", "runs") if getattr(options, n) is not None]
        given += [n for n in ("dry_run", "tables") if getattr(options, n)]
        if given:
            option = given[0].replace("_", "-")
            raise UsageError(f"--{option} needs an experiment's name; reproduce alone lists them")
        return reproduce.list_experiments(options.results)
    if options.tables:
        return reproduce.tables(options.name, options.results)
    if options.jobs != 1 and not options.dry_run:
        from agents.commands.jobs import run_jobs

        names = ("minutes", "seeds", "only", "runs", "results")
        return run_jobs(["reproduce", options.name, *_typed(options, names)], options.jobs)
    cells = (options.seeds, options.only, options.runs, options.results)
    if options.dry_run:
        return reproduce.plan(options.name, *cells)
    return reproduce.reproduce(options.name, options.minutes, *cells)


def _typed(options: argparse.Namespace, names: Sequence[str]) -> list[str]:
    """Return those of the options that were given, as they are typed."""
    given = {name: getattr(options, name) for name in names}
    lists = {n: v if isinstance(v, list) else [v] for n, v in given.items() if v is not None}
    return [word for n, values in lists.items() for word in (f"--{n}", *map(str, values))]


def _plot(options: argparse.Namespace) -> int:
    from agents.commands import look

    return look.plot(options.runs, options.out)


def _render(options: argparse.Namespace) -> int:
    from agents.commands import look

    how = (options.seed, options.sampled, options.max_steps, options.member)
    return look.render(options.run, options.out, *how)


def _play(options: argparse.Namespace) -> int:
    from agents.commands import environments

    return environments.play(options.env, _settings(options.settings))


def _check(arguments: list[str]) -> int:
    env = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
    settings = _settings(arguments)
    if (env is None) == ("memory" not in settings):
        raise UsageError(f"check takes either an environment or a memory: ssmrl check {CHECK}")
    if env is not None:
        from agents.commands import environments

        return environments.check(env, settings)
    memory = settings.pop("memory")
    if not isinstance(memory, str):
        raise UsageError(f"--memory needs a memory's name, not {memory!r}")
    from agents.commands import memories

    return memories.check(memory, settings)


def _settings(arguments: list[str]) -> dict[str, Any]:
    from ssmrl.train.config import convert, parse_overrides

    return convert(parse_overrides(arguments), dict, "settings")


def _list(options: argparse.Namespace) -> int:
    from agents import experiment

    if options.what == "configs":
        names = experiment.config_names()
    elif options.what == "agents":
        names = experiment.AGENTS.names()
    elif options.what == "memories":
        from ssmrl import memory

        names = memory.names()
    else:
        import envs

        names = envs.names()
    print("\n".join(names), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
