"""A divergence by autograd: chi-squared of the student from the teacher."""

from kdgov.distillation.losses.divergence import with_gradient

chi_squared = with_gradient(lambda log_q, log_p: ((log_p - log_q).exp() - 1).square().mul(log_q.exp()).sum(-1))
