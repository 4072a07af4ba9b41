"""Fitting a backward transformation after the training, for teams that cannot change it.

In one call, with `older_maps` for the maps of the published versions:

    fitted = fit(z_new, z_old, from_version=2, ids=user_ids, older=older_maps(catalog, name))
    print(fitted.report)
    fitted.save("runs/b2")  # what `feast-bc publish --transform` takes

`z_old` is what the previous model says of today's entities. Where it cannot be run any more,
`previous_vectors` finds the stored ones: vectors of yesterday's inputs. On the sets of
`training/`, chains of such fits end with 1 to 10 % more centred error at v0 for users, and with 3
to 79 % more for items, whose vectors move faster.

Step by step, for vectors that do not fit in memory: the affine fits see the data as `Moments`, a
running sum over row batches.

    fit, held_out = Moments.split(batches, from_dim=48, to_dim=32)
    hop = {"from_version": 2, "to_version": 1}
    backward = choose([ridge(fit, penalty=p, **hop) for p in PENALTIES], held_out)

`batches` yields version k's vectors, the previous ones and a mask of held-out entities, e.g. from
`Holdout(salt="choice").contains(ids)`: another sample than the artifact's holdout, which must stay
unseen by the choice too. All of it needs numpy only; `feast_bc.posthoc.mlp.fit_mlp` needs torch.

A direct fit k -> j takes version j's vectors as the previous ones. What a chain loses against it,
`held_out.centred_error(compose(steps))` tells, or `centred_error` of what the chain yields where a
step is not affine.
"""

from feast_bc.catalog.older_maps import older_maps
from feast_bc.posthoc.choice import choose
from feast_bc.posthoc.fitted import FitReport, Fitted, fit
from feast_bc.posthoc.low_rank import low_rank
from feast_bc.posthoc.moments import Moments
from feast_bc.posthoc.procrustes import procrustes
from feast_bc.posthoc.ridge import PENALTIES, ridge
from feast_bc.posthoc.stored_vectors import previous_vectors
from feast_bc.publishing.centred_error import centred_error

__all__ = [
    "PENALTIES",
    "FitReport",
    "Fitted",
    "Moments",
    "centred_error",
    "choose",
    "fit",
    "low_rank",
    "older_maps",
    "previous_vectors",
    "procrustes",
    "ridge",
]
