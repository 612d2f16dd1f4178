"""Questions 12, 14 and 19: the table of embeddings, what is added to it, and how it is drawn at first."""

from __future__ import annotations

from ..claim import Claim
from ..evidence import Falsified, Holds, Proved
from ..literal.initialisation import KERAS_TIMES_ROOT_D, XAVIER_TIMES_ROOT_D

EMBEDDINGS: tuple[Claim, ...] = (
    Claim("Q12.1", "source and target may share one table: only the rows of tokens present are active", "P"),
    Claim("Q12.2", "sharing costs a larger softmax", "D"),
    Claim("Q12.3", "tied to the output, the row most like x gets the largest logit, if rows have one norm", "PD"),
    Claim("Q12.4", "embedding and output layer are like inverses", "P"),
    Claim("Q12.5", "torch's Linear stores (out, in) = (V, d), so sharing takes no transpose and saves V·d", "P"),
    Claim("Q14.1", "adding positions does (not) damage the features of the embedding", "PD"),
    Claim(
        "Q19.1",
        "Keras' Embedding has Xavier's variance 1/d, so that ×√d brings it to 1",
        "PD",
        (
            Proved("initialisation"),
            Holds("initial.distribution"),
            Holds("initial.scaled_variance"),
            Holds("initial.distribution", on="keras.layers.Embedding"),
            Holds("initial.scaled_variance", on="keras.layers.Embedding"),
            Holds("initial.distribution", on="keras.initializers.GlorotUniform"),
            Holds("initial.scaled_variance", on="keras.initializers.GlorotUniform"),
            Holds("initial.scaled_variance", on="torch.nn.Embedding.reset_parameters"),
            Falsified(
                KERAS_TIMES_ROOT_D,
                token="vf1.eNpNUNFuwyAM_Bc_o2rdpj7wK1OFHHAICsERJu26qv9ek27SXuB8tu9s38GDvcOAzU9gjwY8l0alCVhIiiJVAQPBzXs2VLxKbxCiAPbNgEy4Etivj3dzPJ0fBiKmorUHzcXK2yp7Y6YS28thoYXrzf1jipsIg_zijLdu2oNKmFX7bP78VF8_8OumQ837jKklzOmHqjJaDDk1qpgPs77iaBkohFSia2khcZW5uaCla9_C4ybdAXgcoc-LXZ2L4oWDrgV00bwBvqi-he_eiLueRjiIXkop8Zh7caARt9yZK6U47UcsDDp0UzRmxnb6hMcTT-Z1yw",
                on="keras.layers.Embedding",
            ),
            Falsified(
                XAVIER_TIMES_ROOT_D,
                token="vf1.eNpNUNFuwyAM_Bc_o2qVqjzwK1OFHHAIKsERJmm7qv8-k23SnjjO9t3ZL_BgXzBi8zPYswHPpVFpAhaSokhVwEBwt6MaKt6lDwhRAPthQGZcCezncDHn4fo2EDEV7T1pLVbeVjkGM5XYfhwWWrg-3T-muJkwyC_O-Oym_VMJs2pfzZ-f6usDft001O3ImFrCnL6oKqPNkFOjivn0wD1RdbSMFEIq0bW0kLjK3FzQ3rWv4XGTbgE8TdADY5fnonjhoHsB7Vo3wLsaWHj0QTz09Iej6KmUEo-5NweacMuduVOK83HFwqCpm6IpM7bhAu9v4pl2SQ",
                on="keras.initializers.GlorotUniform",
            ),
        ),
        "Keras draws its Embedding uniformly from [−0.05, 0.05], whatever the width, and that is not Xavier's law. The "
        "variance is 1/1200, and √d makes it d/1200: 0.43 for d = 512. Xavier's would not be 1/d either: for V tokens "
        "it is 2/(V + d), and √d makes it 2d/(V + d), far below 1 where there are many more tokens than features. Both "
        "were tested on tables that Keras itself drew. A better answer is that √d wants a table from N(0, 1/d), which "
        "it brings to variance 1 at every size: so is the reference's drawn. PyTorch's default, N(0, 1), has "
        "variance 1 before the factor, and d after it. See derivations/initialisation.md.",
    ),
)
