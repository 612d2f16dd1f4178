"""Questions 1, 3 to 7, 13 and 15 to 17: attention itself."""

from __future__ import annotations

from veriformer.properties.laws import LAWS
from veriformer.properties.subjects import DTYPES

from ..claim import Claim
from ..evidence import Falsified, Holds, Measured, Proved
from ..literal.attention import (
    ALONE_IS_IDENTITY,
    EQUALS_MOSTLY_THEMSELVES,
    LOW_SCORE_HIDES,
    MANY_KEYS_SATURATE,
    MINUS_INFINITY_HIDES_BESIDE_A_KEY,
    MOST_WEIGHTS_COST_MOST,
    MOST_WEIGHTS_COST_MOST_WHEN_SHORT,
    MOSTLY_ITSELF,
    UNIT_VARIANCE,
    UNIT_VARIANCE_OF_STANDARD_INDEPENDENT,
    WEIGHTS_HAVE_NO_DIRECTION,
    WIDE_RANDOM_TOKENS_ARE_ALONE,
    WIDER_HEADS_FLATTEN_SOFTMAX,
    WIDER_HEADS_FLATTEN_SOFTMAX_UNSCALED,
)

_VARIANCE = (
    Proved("score_variance"),
    Holds("scaling.logit_variance"),
    Holds("consistency.agreement_with_oracle"),
    Falsified(
        UNIT_VARIANCE,
        token="vf1.eNo1UNtuwyAM_ZfzjKq2qqaNX5km5IITUAlkQBJFVf99pu2e7GM4F_sOC33HlZr10Kfzp4LNqXFqFRopl4kiFJy5QV-kFtpqJ_wuXHYzMSXoo3rDOhcmB31WqJ4KO7OF5s2Nd_l0OD4URgpCOB2EMpa8zKJ1Uoicxuaf7cRTFqX_yZdCMl5E61M1mUg7lxdLvCL094-YMYtr15cCOy-SWPKCWl8k5CRYviKGxoXiYUmhmZVKoGRZ3ua-kaWldkHkYUCP1zd5gyk7FsDr8xh55SLoFbXTybmQxm54rWIoo2opdobjgZbYJxuH0b-PCknapBtipvZxweMPdrV8kw",
        condition="q and k are independent, with mean 0 and variance 1",
        under=UNIT_VARIANCE_OF_STANDARD_INDEPENDENT,
    ),
)

ATTENTION: tuple[Claim, ...] = (
    Claim(
        "Q01.1",
        "several heads capture more than one head can, as several filters of a CNN do",
        "PD",
        (Proved("heads"), Holds("heads.two_copies")),
        "Two heads copy two tokens into two halves of the output, to the last bit. One head hands on a single weighted "
        "average, and no linear map of it gives back both: of two unrelated tokens at least half is lost, whatever its "
        "weights are, as long as they do not depend on what the tokens hold. A better answer says just that: more "
        "heads mean more averages, one for each relation. It is what they can do, not that training makes them do it.",
    ),
    Claim(
        "Q01.2",
        "heads are not essential: some can be removed at little loss",
        "X",
        (Measured("head_removal"),),
        "In small language models, trained on English characters, one head of sixteen is worth 0.08 nats of a loss of "
        "1.50 on average, the least 0.02 and the dearest 0.25. The less important half costs 0.45 together, about a "
        "quarter of what all heads cost, and without any the model is worse than counting pairs of characters. A model "
        "that never had this half is only 0.03 worse than the whole one: most of what removal costs is that the others "
        "were trained to rely on it. A better answer says which heads, how many, and whether one trains again.",
    ),
    Claim(
        "Q01.3",
        "what removing a head costs may be no more than its parameters",
        "P",
        (Proved("heads"), Holds("heads.removal_is_deletion")),
        "To multiply a head's output by 0 gives, to rounding, the layer whose W_Q, W_K, W_V and W_O lack that head's "
        "slices: 4·d_model·d_k weights fewer, biases apart, and all other heads as they were. So a masked head is a "
        "smaller model and nothing else. A better answer adds what this does not say: how much quality goes with "
        "these weights is a matter of measurement, and where heads share keys and values, those stay as long as one "
        "head of the group does. The derivation heads shows both sides index by index.",
    ),
    Claim(
        "Q03.1",
        "with W_Q ≠ W_K attention is directed; with one shared matrix A → B equals B → A",
        "PD",
        (
            Proved("shared_query_key"),
            Holds("scores.one_matrix_has_no_direction"),
            Falsified(
                WEIGHTS_HAVE_NO_DIRECTION,
                token="vf1.eNo9T9FuwyAQ-xc_o6qbpj7wK9WErnABNAIRkFRV1H_f0aV7wvb5zmaHhd5xo24D9IeCLblz7g0aUZDn2qDgzA_0p7yV7jLanwqeYpaN01lgLevSXuuJs-_h5Z15LvVh3ooMswlMrh040WMcH6QyJejrt0JjdtBnuS8P7LJKuESD-mgVSxYuVqTYuVI63Tn60JsJtLHJxbhY2R6-ZfzM0trGcZRpwqhK7p_MxbEQ3sSgUDauwv5qj3VyLmY_wm9NwkVqltLYcDzRmoZy5IuWC6R1FzSlQv3yhecvCWVvow",
                condition="it is the scores that are meant, before softmax",
                under=LAWS["scores.one_matrix_has_no_direction"],
            ),
        ),
        "With two matrices the score of A with B differs from that of B with A. With one, the table of scores is "
        "symmetric and even positive semi-definite, as the scores are inner products. The weights are not: softmax "
        "divides each row by a sum of its own, and two tokens are enough for a counterexample. A better answer says "
        "“symmetric scores”, and that the weights agree exactly where the two sums do.",
    ),
    Claim(
        "Q03.2",
        "projecting both sides is one bilinear form, Q(W_Q W_Kᵀ)Kᵀ",
        "PD",
        (Proved("shared_query_key"), Holds("scores.two_matrices_act_as_one")),
        "The scores by two matrices are those by their product, W_Q W_Kᵀ, so only the product matters. A better "
        "answer adds what the two are kept for: the product has a rank of d_k at most, and two narrow matrices hold "
        "2·d·d_k numbers where a full one would hold d².",
    ),
    Claim(
        "Q03.3",
        "softmax is a soft argmax: it widens gaps and comes near one-hot",
        "PD",
        (Proved("softmax_scale"), Holds("softmax.ratios"), Holds("softmax.entropy"), Holds("softmax.saturation")),
        "The ratio of two weights is the exponential of the difference of their logits, so equal steps become equal "
        "factors. Scaling the logits up never raises the entropy: its slope is exactly −c times the variance of the "
        "logits. A better answer says how near to one-hot: what is not on the largest logit dies out like the "
        "exponential of its lead, and logits that tie for the maximum share alike at any scale.",
    ),
    Claim(
        "Q03.4",
        "with Q = K attention is nearly the identity, and the layer a pointwise linear map",
        "PD",
        (
            Proved("attention_to_itself"),
            Holds("itself.lead_decides"),
            Falsified(
                ALONE_IS_IDENTITY,
                token="vf1.eNo9UNFuwyAM_Jd7RlU3TXvgV6oJudhJ0AhEQFpFUf99Jm33hO_OPp_Z4WF3XKn5CfbDwOfUJLUKi5TLTBEG7H4PjQvdVdgfBiOFpNzprGXJ61KPhihpbOrzaTDLnMvm3oyKyU1CXF91pE3KExTRLfbyY1BFGPas_vrAL6su19Wg1jOFnBRrK2JoUiieKOYkLlQXuOttU33p93haazdFHgb0iMT_YM4sCuR23JZvUhQ94_ZxYg5p7EuvVU2Vqp5in2AZaI2duUsYp9cfQdM2rYaYqX1_4fEHFZJrgw",
                condition="the score of each token with itself has a large lead over its others, as it has for random "
                "tokens of a large width",
                under=WIDE_RANDOM_TOKENS_ARE_ALONE,
            ),
        ),
        "What decides is the lead g of a token's score with itself: it gives at most (n − 1)e^(−g) to all others, and "
        "its output is off a linear map of its own value by that part of the largest distance between values. For "
        "random tokens the lead grows like √d, so at d = 4096 next to nothing is left for others, and the layer does "
        "act on each token alone. With narrow tokens, or tokens that are alike or of different lengths, it does not: "
        "of the numbers of the counterexample one gives more weight to the other than to itself. A better answer says "
        "lead, not Q = K.",
    ),
    Claim(
        "Q04.1",
        "fewer dimensions per head keep the cost constant",
        "PD",
        (
            Proved("block_cost"),
            Holds("cost.weights"),
            Holds("cost.independent_of_heads"),
            Holds("cost.softmax_entries"),
        ),
        "With d_k = d_model/h a layer has 4·d_model² weights, biases apart, and takes 8nd² + 4n²d operations in "
        "products of matrices, for any number of heads: counted, a layer of h heads equals one with a single head of "
        "the whole width to the last operation. Heads of full width would cost h times as much. A better answer adds "
        "the exception: softmax works on n² numbers in each head, h·n² in all, so this part does grow with h. It is "
        "small beside the products while d_k is large, and no FLOP counter shows it.",
    ),
    Claim(
        "Q05.1",
        "the dot product is chosen for speed; all in all the work is of additive attention's order",
        "DX",
        (Proved("additive_attention"), Measured("score_cost")),
        "Both take a number of operations that goes with n²·d_k; additive scores take half as many again, counted and "
        "derived, and a tanh each. In time it is no such tie: on one core additive attention took 15 times as long at "
        "d_k = 8 and over 100 times at d_k = 64, whatever the length from 512 tokens on. It has no product of matrices "
        "to hand to a tuned library, and holds n²·d_k numbers at once where the dot product holds n². A better answer "
        "says the same order of work, another order of memory, and much faster in practice.",
    ),
    Claim(
        "Q05.2",
        "the larger d_k, the more additive attention gains",
        "PX",
        (
            Proved("additive_attention"),
            Holds("scaling.independent_of_width"),
            Holds("scaling.logit_variance"),
            Measured("score_slope"),
            Falsified(
                WIDER_HEADS_FLATTEN_SOFTMAX,
                token="vf1.eNo1UEFuxCAQ-4vPaNVWVQ_5SlWhWRgSVAIRkE1Xq_17Z0h7wjYej-EBh-mBK3W3YHo1cCV3zr1hQhQ0c20w8PZ73PpKR9OBxORFubw8DWaKeWCBtexbG9bEee5n5sprqXf7r7wZZLtIwGnMNtFd1yipTAnT55dBY5YNmi8H3LZLDSkB6tovlixcrEixc6V0OaLnesbakIbLthL6Sj_i3LS0o71pPEoI0LL6hj-yFs9C-CYGg3LjKuwsruPkfcyzrr82WS9Sc5R0wnOgPalycJyX8XO5QHp3QSEV6h_veP4CziVzGA",
                condition="the dot product is not scaled",
                under=WIDER_HEADS_FLATTEN_SOFTMAX_UNSCALED,
            ),
        ),
        "It is true of the dot product without its scale, which is what the paper compares with: the spread of its "
        "scores is √d_k at initialisation, so that the wider a head is, the flatter softmax gets, while an additive "
        "score keeps its spread at every width, by its bound. Of the scaled dot product it is not true: keys that lie "
        "alike along a query get the same weights at every width, as two keys are enough to show. Measured, softmax "
        "keeps a tenth of its slope under unscaled scores at d_k = 512 and nearly all of it under the other two, and a "
        "small model learns to look names up with those two alone. A better answer says that the factor 1/√d_k takes "
        "the advantage away.",
    ),
    Claim(
        "Q06.1",
        "large dot products push softmax where its gradient is flat",
        "PD",
        (Proved("softmax_jacobian"), Holds("softmax.jacobian"), Holds("softmax.saturation")),
        "The Jacobian of softmax is diag(p) − ppᵀ, which stretches nothing by more than a half and vanishes as p "
        "becomes one-hot. Scaling the logits up never spreads the weights, so large scores do flatten it. A better "
        "answer adds what it takes: a unique maximum. Logits that tie for the maximum keep a slope between them at "
        "any scale.",
    ),
    Claim(
        "Q06.2",
        "dividing by √d_k keeps the variance of the logits at 1",
        "PD",
        _VARIANCE,
        "For independent entries of mean 0 and variance 1 the variance of q·k is d_k, so after the division it is "
        "1, at every width. It is a statement about initialisation: queries with a mean, or of another scale, or "
        "keys that share a part with the query have another variance, and the counterexample shows one. A better "
        "answer names the condition, and says that training is free to leave it.",
    ),
    Claim(
        "Q06.3",
        "a large number of inputs makes softmax put everything on the maximum",
        "P",
        (
            Proved("softmax_scale"),
            Holds("softmax.more_keys_dilute"),
            Holds("softmax.saturation"),
            Falsified(
                MANY_KEYS_SATURATE,
                token="vf1.eNpNUMuKAzEM-xedh9KF0kN-ZVmCm3geNI8hcVqGof--Tqcse4pkW5acHQ5mx43EzTBfA1xOwkkqDFIukQIGeHuHuV4UFHpqZ38NmGhJKjidFZbc1vpWB06THIsix1w2-6-S7Mzk6wcH2rgcpLDamO-fAZXZw5x1vz5wa1N39QZJD7XkpFxHERbhQuEUKW32zlu1laQVEtaBtV_kqNW-FXkc0TOS_yMxe1bCj_d1-cFF2ZG3y8n7JU3d9VbVVUvVUegKzyO10CtPXqb580vQuKJoDJnkesHrF-2VbEA",
            ),
        ),
        "It is the other way round: with logits in a given range no weight is above a constant over their number, and "
        "each key that is added lowers all others. What saturates softmax is the spread of the logits, at any number "
        "of keys, and without the factor 1/√d_k the spread grows with the width of a head. A better answer says large "
        "dot products, not many inputs.",
    ),
    Claim(
        "Q07.1",
        "a logit of zero is not no attention: e⁰ = 1, so unmasked padding takes a share",
        "P",
        (Proved("masked_softmax"), Holds("filler.zero_takes_a_share")),
        "Padding whose scores are 0 takes N/(Z + N) of the weights, for N keys of padding beside real keys whose "
        "exponentials add up to Z: that is never 0, and N/n where the real scores are 0 as well. A better answer "
        "names the share: 16 real tokens of such scores, padded to 128, leave seven eighths to the padding.",
    ),
    Claim(
        "Q07.2",
        "an infinitely small value makes the share of padding 0",
        "P",
        (
            Proved("masked_softmax"),
            Holds("filler.masked_is_exactly_zero", dtypes=tuple(DTYPES)),
            Holds("filler.finite_lets_through", dtypes=tuple(DTYPES)),
            Holds("padding.content"),
            Holds("padding.fully_masked_rows"),
            Falsified(
                LOW_SCORE_HIDES,
                token="vf1.eNpNUEFuAyEM_MucaZRUVQ98paqQA14WlcAK2KyiKH-vnaRVuHjGsj0zXOFhrzjS8DPswcDXMriMDoskKHLrMAjuB_ZdaqOt68KUcuYG-3bY_73d3qC4xpRhBS4UQipRjt4MIqUiSEdiq-vS71qZSxwP2ROfaru4l05xM1PoT5zpok6UPBS-vg06cxAtuS8FflnFqfgEDY2QahEuo8hpcKO8y3Vz3dfGbk6BNdeiWTytXU-iThPUIIV_cqqBhfBZBgzqWTM_zeIlI-jYRVJa3VPWjcATrVk7G6c43z-0VIjXIWjKlcbnB26_KcJ35g",
                condition="the value is −∞, or so low that its exponential underflows beside the largest score, and "
                "at least one key is not hidden",
                under=MINUS_INFINITY_HIDES_BESIDE_A_KEY,
            ),
        ),
        "With −∞ the share is 0 to the last bit in every dtype, as long as a query has a key left. A finite number f "
        "lets up to N·exp(f − max) through, which is 0 only once it underflows, and −1e9 is out of range in "
        "float16, where it becomes −∞. A row that is masked as a whole shows the difference: with a finite number "
        "it attends to its padding in silence, with −∞ it is 0/0. A better answer says what such a row should give "
        "(here: 0).",
    ),
    Claim(
        "Q13.1",
        "which part of a block costs most can be told by its parameters",
        "PDX",
        (
            Proved("block_cost"),
            Holds("cost.share_of_the_weights"),
            Holds("cost.parts_of_a_block"),
            Measured("block_time"),
            Falsified(
                MOST_WEIGHTS_COST_MOST,
                token="vf1.eNo9UO1qwzAMfBf9DqWDUphfZYyg2kpq5ljBcvpB6bvvVLr90p18Op31oEjhQSfu8UzhY6CotUvtRoEy0CzNaKA0_lA4oDa-mg-kcZqgPz4HmjlXwN0esOm22sunSJ07LD8HWmTRdh__Onis41k42RsXvvsWJ024UPj6HshEEoU9_FEorhtSIANJjZqkgUFIJXdpXHaLWh-vkudztzE68Q5Eq4eNvJn7kiK0p-T0Txa4ue0FAoTRtoCtTUD0gj2Bbm7DKeU6g_HJcB5vqeWetfqlqlYfsMjFzZJMvBUXvSO9JIS_dKCpKPfjgZ6_QXR4fQ",
                condition="the sequence is shorter than d_ff − 2·d_model tokens, which is 2·d_model at the usual "
                "d_ff = 4·d_model",
                under=MOST_WEIGHTS_COST_MOST_WHEN_SHORT,
            ),
        ),
        "At d_ff = 4·d_model the feed-forward layer has two thirds of a block's weights, at any length. Its "
        "operations, 4nd·d_ff, are more than the attention's, 8nd² + 4n²d, only while n < d_ff − 2·d_model, which is "
        "2·d_model: scores and weighted average have no weights, so no parameter count shows them. Both sides of that "
        "length are counted, to the last operation. In time, at d_model = 256 on one core, the two are even at 270 "
        "tokens already, not at 512: softmax and the scores in memory cost time and hardly any operations. A better "
        "answer says: the feed-forward layer for short sequences, the attention for long ones.",
    ),
    Claim(
        "Q15.1",
        "without W_Q, W_K and W_V a token attends mostly to itself",
        "PD",
        (
            Proved("attention_to_itself"),
            Holds("itself.largest_score"),
            Holds("itself.equals_attend_to_themselves"),
            Falsified(
                MOSTLY_ITSELF,
                token="vf1.eNo9UNFuwyAM_Bc_R1U3TX3gV6YpcsEQNAMZhlZR1X-fSbo94TuffWceYME84IrNLmDeJrAlN8pNwEAuNSHDBG7-3nuu4l2GnH468syUQ1uU8MhCzwkCxqzC01nLWvoq-9QhA_M-QaJU6jb_MdrM80Lo5FUzblQPUEmtzefXBELkwJx1vz5g166JNA9gG0FjyYpVChwbVeRTKtJ4m2MTYq-9dSS22GUshOIHFyq6f5CKIwV0248tN6qKjqhjHJ2LOQzDq6ihUmKRx4Qjj50Hc6cYltengSZtWnku2C4f8PwFw2px8w",
                condition="all tokens have one length, as after a LayerNorm without gain and bias",
                under=EQUALS_MOSTLY_THEMSELVES,
            ),
        ),
        "Among tokens of one length it is so: each score with itself leads by half the squared distance to the other "
        "token, over √d, so no token gives another more weight than itself. A longer token, though, can draw a "
        "shorter one to itself: of the two numbers 1 and 2 both attend most to 2. What holds for any tokens is that "
        "the largest score of the whole table stands on the diagonal. A better answer names the lengths, and does not "
        "promise most of the weight: tokens that are alike share it evenly.",
    ),
    Claim(
        "Q15.2",
        "the projections relieve that",
        "P",
        (Proved("attention_to_itself"), Holds("itself.projections_level_the_diagonal")),
        "With independent W_Q and W_K the score of a token with itself has mean 0 over the draws, as its score with "
        "any other has, and a spread that knows only the lengths of the two: the diagonal is a place like any other. "
        "That is so at initialisation. A better answer adds that training may bring the diagonal back, if it is of "
        "use, and that the projections make it a choice.",
    ),
    Claim(
        "Q16.1",
        "self-attention costs O(n²d): scores, softmax, weighted average",
        "PDX",
        (Proved("block_cost"), Holds("cost.matrix_products"), Holds("cost.softmax_entries"), Measured("block_time")),
        "Scores and weighted average take exactly 2n²d operations each, read from PyTorch's own counter at every size "
        "tried, and softmax works on h·n² numbers: the part that has no weights is O(n²d). A better answer adds the "
        "four projections, 8nd² operations, which are the larger part as long as n < 2d: the layer costs 8nd² + 4n²d, "
        "and its growth turns from linear to quadratic in n around there. All of this is counted without a mask; a "
        "kernel may skip what a causal mask hides. Measured at d_model = 256, the time goes with n² from 512 to 2048 "
        "tokens, and less than linearly in short sequences. The derivation block_cost has every step.",
    ),
    Claim(
        "Q16.2",
        "heads by transpose and reshape equal a loop over heads, at the same order of cost",
        "P",
        (
            Proved("heads"),
            Holds("heads.loop_equivalence"),
            Holds("cost.matrix_products"),
            Holds("cost.softmax_entries"),
        ),
        "Splitting d_model by reshape and transpose gives, to rounding, what a loop gives that computes each head "
        "from its own slices of the weights, grouped heads included. A view without its transpose, or in the wrong "
        "order, is caught. Loop and reshape take the same 8nd² + 4n²d operations in products of matrices, counted. A "
        "better answer adds that softmax works on h·n² numbers, not n², so this part of the cost grows with the heads.",
    ),
    Claim(
        "Q17.1",
        "why the scale: as in question 6",
        "PD",
        (*_VARIANCE, Proved("softmax_jacobian")),
        "The same evidence as question 6: the scale holds the variance of the logits at 1 at initialisation, "
        "whatever the width, and so holds softmax where it has a slope.",
    ),
)
