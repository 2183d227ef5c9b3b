"""Memories: modules that carry a state from step to step and forget at the start of an episode."""

from ssmrl.memory.base import Memory as Memory
from ssmrl.memory.base import Option as Option
from ssmrl.memory.base import make as make
from ssmrl.memory.base import names as names
from ssmrl.memory.base import options as options
from ssmrl.memory.base import register as register
from ssmrl.memory.gru import GRU as GRU
from ssmrl.memory.lstm import LSTM as LSTM
from ssmrl.memory.mlp import MLP as MLP
from ssmrl.memory.s5 import S5 as S5
from ssmrl.memory.states import scan_states as scan_states
from ssmrl.memory.transformer import Transformer as Transformer

register("gru", GRU)
register("lstm", LSTM)
register("mlp", MLP)
register("s5", S5)
register("transformer", Transformer)
