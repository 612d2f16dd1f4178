"""Settings of this project's own tests."""

from __future__ import annotations

import os

import torch
from hypothesis import settings

from veriformer.properties.profiles import register

# The machine's cores are shared out by xdist; threads inside a test would only fight over them.
torch.set_num_threads(1)

register(replace=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
