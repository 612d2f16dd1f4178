"""FNet: a Fourier transform in place of attention."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FourierMixing(nn.Module):
    """y = Re(F_n x F_d): a discrete Fourier transform over the features, and one over the places. Nothing is trained.

    F_n has the entries e^{−2πi·jk/n}. The mixing takes no mask: every output depends on every place, and on how many
    there are.

    Source: Lee-Thorp et al. 2022 (FNet), eq. 3.
    """

    def forward(self, x: Float[Tensor, "batch length d_model"]) -> Float[Tensor, "batch length d_model"]:
        """Re(F_n x F_d)."""
        return torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real
