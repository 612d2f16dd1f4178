"""The formulas that the derivations prove, as functions of tensors: what is proved is what is evaluated."""
import torch
def conditional_score_variance(query, *, scale):
    return scale**2 * query.square().sum(-1)
def softmax_jacobian(p):
    return torch.diag_embed(p) - p[..., :, None] * p[..., None, :]
def softmax_norm_bound():
    return 0.5
