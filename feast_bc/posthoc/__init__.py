"""Fitting a backward transformation after the training, for teams that cannot change it.

The affine fits need numpy only and see the data as `Moments`, a running sum over row batches; so
memory does not grow with rows. `feast_bc.posthoc.mlp.fit_mlp` needs torch and all rows.

    fit, held_out = Moments.split(batches, from_dim=48, to_dim=32)
    hop = {"from_version": 2, "to_version": 1}
    backward = choose([ridge(fit, penalty=p, **hop) for p in PENALTIES], held_out)

`batches` yields version k's vectors, the previous ones and a mask of held-out entities, e.g. from
`Holdout(salt="choice").contains(ids)`: another sample than the artifact's holdout, which must stay
unseen by the choice too.

A direct fit k -> j takes version j's vectors as the previous ones. What a chain loses against it,
`held_out.centred_error(compose(steps))` tells, or `centred_error` of what the chain yields where a
step is not affine.
"""

from feast_bc.posthoc.choice import choose
from feast_bc.posthoc.low_rank import low_rank
from feast_bc.posthoc.moments import Moments
from feast_bc.posthoc.procrustes import procrustes
from feast_bc.posthoc.ridge import PENALTIES, ridge
from feast_bc.publishing.centred_error import centred_error

__all__ = ["PENALTIES", "Moments", "centred_error", "choose", "low_rank", "procrustes", "ridge"]
