"""Settings of this project's own tests."""

from __future__ import annotations

import os

import torch
from hypothesis import settings

from veriformer.properties.profiles import register

# The machine's cores are shared out by xdist; threads inside a test would only fight over them.
torch.set_num_threads(1)

register(replace=True)
# Some ten thousand checks: every law is tried on a dozen paths, and on many subjects.
settings.register_profile("own", settings.get_profile("ci"), max_examples=6)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "own"))
