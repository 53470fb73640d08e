"""Pure, jitted loss functions: one value per example, logits in, information in nats.

| file | what it holds |
|---|---|
| `reconstruction` | L0, L1, L2 and what lies between them, by example; hard-concrete gates for weights |
| `divergences` | entropy, cross-entropy, KL and its relatives: of pmfs, logits, Gaussians, from samples |
| `gaussians` | cross-entropy, Jeffreys, Hellinger and chi-square of diagonal Gaussians |
| `adversarial` | discriminator and generator objectives in pairs, and gradient penalties |
| `information` | code log-likelihoods, prior entropies, InfoGAN's bound L_I |
| `masks` | errors for sharp-edged images of two values, from logits |
| `perceptual` | SRGAN's content and adversarial errors |
| `checks` | what the functions ask of their arguments; `check_pmf` and `check_unit_interval` for data |
| `stable` | what keeps values and gradients finite at the edge of a domain or of a type's range |
| `units` | nats in the unit of another logarithm |
| `replicas` | means over a pmapped axis, the same bits however processes share out the devices |

Every function is here too, as `losses.entropy`. Arrays are float; half precision is computed in float32
and comes back as float32. Hyperparameters are keyword-only Python numbers: constants of the compiled
program, so a new value compiles again, and a traced array is refused. A wrong shape or value raises
`ValueError`, a wrong type `TypeError`, with the name of the argument.
"""

from losses.adversarial import (
    discriminator_hinge,
    discriminator_least_squares,
    discriminator_logistic,
    discriminator_wasserstein,
    generator_hinge,
    generator_least_squares,
    generator_minimax,
    generator_non_saturating,
    generator_wasserstein,
    gradient_penalty,
    r1_penalty,
    r2_penalty,
)
from losses.checks import check_pmf, check_unit_interval
from losses.divergences import (
    Estimate,
    categorical_cross_entropy_from_logits,
    categorical_entropy_from_logits,
    categorical_js_from_logits,
    categorical_kl_from_logits,
    chi_square_divergence,
    cross_entropy,
    entropy,
    f_divergence,
    hellinger_distance,
    jeffreys_divergence,
    js_divergence,
    kl_divergence,
    kl_from_samples_k1,
    kl_from_samples_k3,
    reverse_kl_divergence,
    total_variation_distance,
)
from losses.gaussians import (
    gaussian_chi_square,
    gaussian_cross_entropy,
    gaussian_entropy,
    gaussian_entropy_full_covariance,
    gaussian_hellinger,
    gaussian_jeffreys,
    gaussian_kl,
    gaussian_kl_full_covariance,
)
from losses.information import (
    bernoulli_log_prob,
    bernoulli_prior_entropy,
    bounded_log_scale,
    categorical_log_prob,
    categorical_prior_entropy,
    gaussian_log_prob,
    gaussian_prior_entropy,
    information_lower_bound,
    information_per_code,
    paired_mutual_information,
    scale_weighted,
    uniform_prior_entropy,
    von_mises_log_prob,
    von_mises_prior_entropy,
    weighted_information,
)
from losses.masks import (
    binary_cross_entropy_from_logits,
    dice_error_from_logits,
    edge_error_from_logits,
    edge_weights,
    iou_error_from_logits,
)
from losses.perceptual import (
    crops_adversarial_error,
    feature_content_error,
    perceptual_error,
    pixel_content_error,
)
from losses.reconstruction import (
    charbonnier_error,
    expected_l0,
    gaussian_l0_error,
    geman_mcclure_error,
    hard_concrete_deterministic,
    hard_concrete_sample,
    huber_error,
    l0_error,
    l0_mean,
    l1_error,
    l1_mean,
    l2_error,
    l2_mean,
    l2_norm,
)

__all__ = [
    "Estimate",
    "bernoulli_log_prob",
    "bernoulli_prior_entropy",
    "binary_cross_entropy_from_logits",
    "bounded_log_scale",
    "categorical_cross_entropy_from_logits",
    "categorical_entropy_from_logits",
    "categorical_js_from_logits",
    "categorical_kl_from_logits",
    "categorical_log_prob",
    "categorical_prior_entropy",
    "charbonnier_error",
    "check_pmf",
    "check_unit_interval",
    "chi_square_divergence",
    "crops_adversarial_error",
    "cross_entropy",
    "dice_error_from_logits",
    "discriminator_hinge",
    "discriminator_least_squares",
    "discriminator_logistic",
    "discriminator_wasserstein",
    "edge_error_from_logits",
    "edge_weights",
    "entropy",
    "expected_l0",
    "f_divergence",
    "feature_content_error",
    "gaussian_chi_square",
    "gaussian_cross_entropy",
    "gaussian_entropy",
    "gaussian_entropy_full_covariance",
    "gaussian_hellinger",
    "gaussian_jeffreys",
    "gaussian_kl",
    "gaussian_kl_full_covariance",
    "gaussian_l0_error",
    "gaussian_log_prob",
    "gaussian_prior_entropy",
    "geman_mcclure_error",
    "generator_hinge",
    "generator_least_squares",
    "generator_minimax",
    "generator_non_saturating",
    "generator_wasserstein",
    "gradient_penalty",
    "hard_concrete_deterministic",
    "hard_concrete_sample",
    "hellinger_distance",
    "huber_error",
    "information_lower_bound",
    "information_per_code",
    "iou_error_from_logits",
    "jeffreys_divergence",
    "js_divergence",
    "kl_divergence",
    "kl_from_samples_k1",
    "kl_from_samples_k3",
    "l0_error",
    "l0_mean",
    "l1_error",
    "l1_mean",
    "l2_error",
    "l2_mean",
    "l2_norm",
    "paired_mutual_information",
    "perceptual_error",
    "pixel_content_error",
    "r1_penalty",
    "r2_penalty",
    "reverse_kl_divergence",
    "scale_weighted",
    "total_variation_distance",
    "uniform_prior_entropy",
    "von_mises_log_prob",
    "von_mises_prior_entropy",
    "weighted_information",
]
