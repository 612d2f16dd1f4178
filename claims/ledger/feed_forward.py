"""Question 25: the feed-forward network and its ReLU."""

from __future__ import annotations

from ..claim import Claim
from ..evidence import Falsified, Holds, Measured, Proved
from ..literal.feed_forward import (
    AMPLITUDE_GROWS,
    AMPLITUDE_GROWS_ABOVE_HE,
    DEAD_DESPITE_DECAY,
    DEAD_DESPITE_MOMENTUM,
    DEAD_DESPITE_MOVING_INPUTS,
    DEAD_UNDER_PLAIN_SGD,
)

PLAIN_SGD = "training is plain SGD, on inputs that stay as they are"

FEED_FORWARD: tuple[Claim, ...] = (
    Claim(
        "Q25.1",
        "FFN(x) = max(0, xW₁ + b₁)W₂ + b₂",
        "P",
        (
            Holds("feed_forward.formula"),
            Holds("feed_forward.formula", on="torch.nn.Sequential"),
            Holds("feed_forward.token_alone"),
            Holds("feed_forward.token_alone", on="torch.nn.Sequential"),
            Proved("relu_moments"),
        ),
        "The layer of the reference and PyTorch's Linear, ReLU and Linear in a row give what this formula makes of "
        "their weights. Each token goes through alone: whatever stands beside it, its output keeps every bit, and the "
        "gradient from one token to another is exactly 0. A better answer says so, for it is what attention beside it "
        "is for; and it says that without the ReLU the two matrices would be one.",
    ),
    Claim(
        "Q25.2",
        "ReLU does not saturate, needs no exponential and suits back-propagation",
        "D",
        (
            Proved("activation_slopes"),
            Holds("feed_forward.slope_is_zero_or_one"),
            Holds("feed_forward.homogeneous"),
            Measured("activation_cost"),
        ),
        "On its positive side this is exact: the slope is 1 however large the input is, and on a path of positive "
        "units the gradient is the product of the weights alone. The slope of a sigmoid is at most 1/4, so ten of "
        "them leave less than a millionth where weights are at most 1; that of tanh is at most 1, and both fall off "
        "exponentially. By itself each takes several times as long as ReLU, but in a feed-forward layer, where the "
        "matrices cost most, that came to 2 to 20 %. A better answer rests on the slope, not on the exponential, and "
        "names the other side: below 0 the slope is exactly 0, which is saturation at its most complete (Q25.4).",
    ),
    Claim(
        "Q25.3",
        "the output of ReLU is not centred at zero",
        "PD",
        (
            Proved("relu_moments"),
            Holds("feed_forward.hidden_mean"),
            Holds("feed_forward.hidden_mean", on="torch.nn.Sequential"),
            Holds("feed_forward.hidden_halves"),
        ),
        "For a centred normal input of spread σ the mean of the output is σ/√(2π), about 0.4 σ. For any input that is "
        "symmetric about 0 half of the mean size is left, and half of the mean square. A better answer gives this "
        "number, and says where it matters: the next layer's inputs share a direction, which a bias or a norm has to "
        "take out again.",
    ),
    Claim(
        "Q25.4",
        "a ReLU can die for ever; at a large learning rate 40 % may",
        "PX",
        (
            Proved("activation_slopes"),
            Holds("feed_forward.dead_unit_stays"),
            Falsified(
                DEAD_DESPITE_DECAY,
                token="vf1.eNo1UNFuwyAM_JXpnlHVTtUe-JVpQi6YJBqBCEizqOq_z262J5_vjO_wAx72gRt1P8JeDHzJnXNvsJgEDVwbDIL7hr1KrbQ1fbAkmjJspNTYYKNd5jeehrG_BfbSPg2G18jldBZYy7q0l0HiPHTxejeYeS51d_-MiNmNTKH94US72mtTmRLs55dBYw6wZ9kvBX5ZJZ6EQxTexVI3qkEomUaaOldKpyA7VXJ85-oCt0UEd8R1R1yDRb_laW1qhBIjNDapScmC5xJYMN9FNyiySboffUghTHmQjm5NTidU85R0OHCkNSlzmOlVc9HbdE2cCvWPK56_lUx9Rg",
                condition=PLAIN_SGD,
                under=DEAD_UNDER_PLAIN_SGD,
            ),
            Falsified(
                DEAD_DESPITE_MOMENTUM,
                token="vf1.eNo9UMtuwzAM-xeejaIdih38K8NgqLacBvMjsJ1mQdF_nxRsO4kiJYr2Ex72iRsNf4e9GPhaBpfRYTELmrh1GAT3BXuV2mjrurAkmgtspNTZYKNd5nPNsrlmvAymQ76czgJbXZd-mCcu05A7bwaZc227-2NELO7OFPovTrTraW0aU4L9-DTozAH2LP5S4JdVokkwROFdrG2jFoSSaaR5cKN0CuKpkuMHNxe4LyK4_6gGiz7H09r1CGqM0MikB2oRnGtgwfwQ3aCKi3TfukghzGWSjm5d3ITqnpIOB460JmU2nqf78Zul6r8MTZsqjfcrXj-j2nqP",
                condition=PLAIN_SGD,
                under=DEAD_UNDER_PLAIN_SGD,
            ),
            Falsified(
                DEAD_DESPITE_MOVING_INPUTS,
                token="vf1.eNo1UNFuwyAM_JXJz6hqp2oP_Mo0ITeYFI1ABCRZVPXfd866J85n--7wgwayD7pxH-5kL4aGkrvk3shSBBqlNjLk3TfZK97KW9OFOXHMZAOnJoY23jE_lTXm8S3mecH-09B4zFxOZ8BalrkdDkny2GH2bmiSqdTd_TNoZncX9u2FE-_qr0UVTmQ_vww1EU_2DH08NMwL8iEdBfAulLpx9aAwTSl2qZxOHpracrJKdV7ajIb7y-teeQ3N-rGBl6ZOVEIgzc3qUjLwVLwAy4q-oQIpVD-6yN5DCRXfGo4Hqg2cdNhL4CUps0kc78ddc9HjdI2cCvePKz1_AR_wfpA",
                condition=PLAIN_SGD,
                under=DEAD_UNDER_PLAIN_SGD,
            ),
            Measured("dead_units"),
        ),
        "A unit that is negative on all of the data gets a gradient of exactly 0, and plain SGD on fixed inputs leaves "
        "it as it is for ever; no dead unit of a trained network's first layer came back. Weight decay can wake it (a "
        "positive bias is left over), and momentum (it outlives the gradient), and inputs that move can: in a second "
        "layer some did come back. As for 40 %: a small network learns as well at three times a good learning rate, "
        "with 35 % of a layer dead; with Adam, or at a still larger rate, far more than 40 % are. A better answer says "
        "where for ever ends, and names no share without a rate.",
    ),
    Claim(
        "Q25.5",
        "ReLU does not compress amplitudes, so they grow with depth",
        "PD",
        (
            Proved("relu_moments"),
            Proved("initialisation"),
            Holds("feed_forward.homogeneous"),
            Holds("feed_forward.hidden_halves"),
            Holds("feed_forward.scale_over_depth"),
            Falsified(
                AMPLITUDE_GROWS,
                token="vf1.eNpNUNFqwzAM_Bc9m9CNdYz8yhhGteUkzLGDbDcrpf--c1vGnnx3lk4nXcnReKUTVzfT-GLI5VQl1UIjpawrRzLk7Tf-Xj-AlPfSG8rMKjYHOwuNh-F4MzTxklA2HAA1t63c_aKkqT6sV1mzXuw_JaGdfXniyBfRB1HB4PHzy1AR8ZgAfzzktoY8SEMBug1Zd1YPCdUUlyrKceB1A2xeLHIgrqGtR3bcSnelHAL1jOz_yJo99iA53_fNZ1Gwn97J3i9pAuNTwV0gFcexF3sJ3GJXdlmm-XkyQtLa88XM9f2Nbr9IuG-k",
                condition="the weights start well above He's variance, 2/n, and no norm stands between the layers",
                under=AMPLITUDE_GROWS_ABOVE_HE,
            ),
        ),
        "The first half is right: twice the input is twice the output, exactly. The second does not follow, for ReLU "
        "drops half of the mean square, and a layer of n inputs multiplies it by n/2 times the variance of a weight. "
        "At Glorot's 1/n amplitudes die out, a factor of 256 in 16 layers; at He's 2/n they are kept on average; above "
        "it they grow. A better answer: it is the scale of the weights that decides, and in a Transformer LayerNorm "
        "resets it anyway.",
    ),
)
