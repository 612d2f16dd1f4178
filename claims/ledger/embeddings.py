"""Questions 12, 14 and 19: the table of embeddings, what is added to it, and how it is drawn at first."""

from __future__ import annotations

from veriformer.properties.laws import LAWS
from veriformer.properties.subjects import DTYPES

from ..claim import Claim
from ..evidence import Falsified, Holds, Measured, Proved
from ..literal.embeddings import LIKEST_ROW_WINS, ONLY_PRESENT_ROWS, OUTPUT_UNDOES_EMBEDDING
from ..literal.initialisation import KERAS_TIMES_ROOT_D, XAVIER_TIMES_ROOT_D

EMBEDDINGS: tuple[Claim, ...] = (
    Claim(
        "Q12.1",
        "source and target may share one table: only the rows of tokens present are active",
        "P",
        (
            Proved("tied_embeddings"),
            Holds("embedding.rows_of_tokens"),
            Holds("embedding.absent_rows_rest"),
            Holds("embedding.tied_rows_all_move"),
            Falsified(
                ONLY_PRESENT_ROWS,
                token="vf1.eNpNkNFqwzAMRf_lPofSQdmDf2UMo9hKYurYwXaShdJ_n9SssCddydLVsR5wMA_01NwE89HB5dQ4tQqDIGrkUtHB2zvMTWKhveoA9VW6YK7PDiOFJLOXq8iS16W-jCKnsZ2eM8-5HPZfJdmJydc_HenQNZoUpgjz9d2hMvvTXwLcsgqGQIDnnr0PaZRcWhFD40LxklM87FJYuWzJe7VU2JJrYWNpXZTa0VrVH3kYoLSk3jmJnrNndd_kvUPeuEj2o4N0bjPvPwuao6jNngdao1ZaUFgcrMfaOYzT64IpQ_jlTBhipvZ5w_MX4lN1Yg",
                condition="the output layer has weights of its own",
                under=LAWS["embedding.absent_rows_rest"],
            ),
        ),
        "As long as the table only reads the input it is so, exactly: a row whose token occurs neither in the source "
        "nor in the target has a gradient of 0, and the words of one language do not disturb those of the other. Once "
        "the output layer shares the table as well, every row gets a gradient at every step, because softmax has "
        "every word in its denominator: the right row is pulled towards the output vector, each other one is pushed "
        "away by the probability that it got. A better answer says which of the two sharings is meant; the original "
        "Transformer does both. It adds that an optimiser with momentum or weight decay moves rows without a "
        "gradient, too.",
    ),
    Claim(
        "Q12.2",
        "sharing costs a larger softmax",
        "D",
        (Proved("tied_embeddings"), Holds("embedding.logit_operations")),
        "The logits of n tokens take 2·n·d·V operations, and nothing else between a token and its logits takes any: "
        "looking a row up is free. So the cost is proportional to the vocabulary, and one that two languages share, "
        "nearly as large as both together, costs nearly twice as much as the target's alone. A better answer adds "
        "that it is the shared *vocabulary* that costs this, not the shared table: tying the output layer to the "
        "table changes no operation and saves V·d numbers.",
    ),
    Claim(
        "Q12.3",
        "tied to the output, the row most like x gets the largest logit, if rows have one norm",
        "PD",
        (
            Proved("tied_embeddings"),
            Holds("embedding.likest_row_wins"),
            Falsified(
                LIKEST_ROW_WINS,
                token="vf1.eNpNUMuKwzAM_Jc5h9JC2YN_ZVmCYiuOiWMH22kaSv99pXQPe5JGj5mRXrAwLwzU7ARz62BzapxahUGQzHOp6OD6GeYusdBedaFkjSdO0m955gSTthjfHTwFAbfLVdKSt7WezJGTbx-RhZdcjv5fJfUTk6t_eaRDdRUUpgjz_dOhMjuYq_BLgF030RVX4GVg50LygmUUMTQuFC8xzFxbL077PSS9YlXnlraqlMjjCDVISpf1iiU7VsKH9DvkBxdBT12kj4ABDVW-I6VqKeqw45G2qJUW1B8OVqmdg5_OL6YMsdwkG2Om9nXH-xe5YnYL",
                condition="the rows of the table have one length",
                under=LAWS["embedding.likest_row_wins"],
            ),
        ),
        "A logit is a length times a cosine. Where all rows are equally long, the largest logit belongs to the row at "
        "the smallest angle to x, which is the nearest one, too. Where they are not, half of the difference of two "
        "squared lengths comes on top, and a longer row wins at a wider angle; it can beat even the row that x is "
        "equal to. Nothing in training keeps the rows at one length. A better answer takes the length for what it is "
        "good for: a frequent word may have a larger logit everywhere, without a bias.",
    ),
    Claim(
        "Q12.4",
        "embedding and output layer are like inverses",
        "P",
        (
            Proved("tied_embeddings"),
            Holds("embedding.inverse"),
            Falsified(
                OUTPUT_UNDOES_EMBEDDING,
                token="vf1.eNpNUF1rwzAM_C_3HEoHZQ_-K2MExVYcM8cO_mgbQv_7pHaMPunufDrJOmBhDkzU7ALzMcDm1Di1CoMgyHOpGODGH5iL1EI3eToeAzyFJB2ns8CS-1af7ZGTb6-klddc9vFNSePC5OofjrRruJLCFGG-vgdUZgdzlnwpsFuX4TIavE7sXEheuFgRQ-NC8ZR723obe3KZ6_ju2vRflnrVaOR5hi5K7p-s2bEmX8UwIF-5CLtrJ70yDGiqcguRqqWoZscz9ahKC7oodtbz3Dj45XmzlCG7N0FzzNQ-L3j8Akk-cHM",
                condition="the rows are orthonormal, or nearly",
                under=LAWS["embedding.inverse"],
            ),
        ),
        "Embed a token, multiply with the table, and for orthonormal rows 1 comes back for the token and 0 for all "
        "others, up to the factor √d of the embedding. Orthonormal rows take a width of at least the vocabulary, which "
        "no real model has. For rows of length 1 the error is at most the largest inner product of two of them, and "
        "below a half of that the right token still wins. So a better answer is: not inverse, but a transpose that "
        "finds the token again as long as rows are far from parallel, and that is easy in many dimensions.",
    ),
    Claim(
        "Q12.5",
        "torch's Linear stores (out, in) = (V, d), so sharing takes no transpose and saves V·d",
        "P",
        (
            Holds("embedding.stored_like_the_table", dtypes=tuple(DTYPES), on="torch.nn.Embedding"),
            Holds("embedding.one_tensor", on="torch.nn.Embedding"),
            Holds("embedding.one_tensor"),
        ),
        "It is so in PyTorch itself. nn.Linear(d, V) has weights of the shape (V, d), that of nn.Embedding(V, d), and "
        "computes x Wᵀ: so `linear.weight = embedding.weight` is all that is needed. Both then are one tensor, in one "
        "place in memory, and there are V·d parameters less. A better answer adds that it is the *Parameter* that must "
        "be assigned, before the optimiser is made: to copy the numbers, or to share only their memory, passes every "
        "look at the logits, and is wrong from the first step of training on. A layer that stores (in, out) must be "
        "tied through a transpose.",
    ),
    Claim(
        "Q14.1",
        "adding positions does (not) damage the features of the embedding",
        "PDX",
        (
            Proved("adding_positions"),
            Holds("adding.is_concatenating"),
            Holds("adding.chance_overlap"),
            Holds("adding.chance_overlap", on="torch.nn.Embedding"),
            Measured("probe"),
        ),
        "Adding is concatenating where position and embedding meet the same weights. Little is lost by that in a wide "
        "model: two directions by chance have a squared cosine of 1/d on average. From sums as they are at first, 400 "
        "words and 64 positions, a linear probe reads every word and nine positions in ten at d = 512; at d = 16 it "
        "reads half of the words and one position in six. So the damage is real where the model is narrow. Without the "
        "factor √d on the embeddings positions are 16 times as long as words at d = 512: a probe that is fitted still "
        "reads the words, and the plain inner product with the table no longer does. A better answer says that it is "
        "the width that makes adding harmless, and that training may choose directions that are further apart still.",
    ),
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
