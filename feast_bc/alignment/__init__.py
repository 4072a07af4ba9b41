"""Learning a backward transformation together with a model: BC-Aligner for any torch model.

For teams that train embedding models with torch (`pip install feast-bc[torch]`); nothing on
the serving path imports this package. Formulas: Hu et al., "Learning Backward Compatible
Embeddings", KDD 2022 (arXiv 2206.03040). In a training step:

    previous, present = table.gather(ids)  # or a tensor's rows, or frozen_vectors(old, inputs)
    aligned = multi_step_loss(backward(z), previous, older, present)
    loss = task + weight(step) * aligned

Teams that cannot change their training fit afterwards: `feast_bc.posthoc`.
"""

from feast_bc.alignment.alignment_weight import AlignmentWeight
from feast_bc.alignment.backward_map import BackwardMap
from feast_bc.alignment.backward_mlp import BackwardMLP
from feast_bc.alignment.backward_module import BackwardModule
from feast_bc.alignment.backward_truncation import BackwardTruncation
from feast_bc.alignment.frozen_map import frozen_map
from feast_bc.alignment.frozen_vectors import frozen_vectors
from feast_bc.alignment.losses import (
    Consumer,
    OlderMap,
    consumer_loss,
    multi_step_loss,
    single_step_loss,
)
from feast_bc.alignment.previous_vectors import PreviousVectors

__all__ = [
    "AlignmentWeight",
    "BackwardMLP",
    "BackwardMap",
    "BackwardModule",
    "BackwardTruncation",
    "Consumer",
    "OlderMap",
    "PreviousVectors",
    "consumer_loss",
    "frozen_map",
    "frozen_vectors",
    "multi_step_loss",
    "single_step_loss",
]
