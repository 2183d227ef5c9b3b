"""The resettable linear recurrence x_t = a_t x_{t-1} + b_t and the ways to run it."""

from ssmrl.scan.implementations import IMPLEMENTATIONS as IMPLEMENTATIONS
from ssmrl.scan.linear import linear_scan as linear_scan
