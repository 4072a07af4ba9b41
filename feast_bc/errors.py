"""Errors of feast-bc.

Every message names the culprit, what was expected, what was found and what to do next.
"""

from __future__ import annotations


class FeastBCError(Exception):
    """Base class of every error that feast-bc raises on purpose."""


class DimensionError(FeastBCError, ValueError):
    """A vector, matrix or transformation has another dimension than its embedding version."""


class DirectionError(FeastBCError, ValueError):
    """A transformation does not lead from version k to k-1, or is used the other way round."""


class ChainGapError(FeastBCError, ValueError):
    """A link of the chain of backward transformations is missing."""


class InvalidVectorsError(FeastBCError, ValueError):
    """Native vectors break a promise: type, shape, finiteness, keys or timestamps."""


class SourceChangedError(InvalidVectorsError):
    """A version's batch source no longer holds what it held when the version was published."""


class ArtifactError(FeastBCError):
    """Something stored is missing, truncated, tampered with or too new: a transformation, manifest,
    event, or the plan in the Feast registry."""


class CatalogError(FeastBCError):
    """The catalog cannot be read, written or understood."""


class UnknownVersionError(CatalogError, LookupError):
    """An embedding, or a version of it, is not in the catalog or was retired."""


class VersionConflictError(CatalogError):
    """Somebody else published or changed the same version first, with other content."""


class LineageError(CatalogError):
    """What is applied does not go on from what the registry has: an older or another catalog."""


class SignatureError(CatalogError):
    """What counts in the catalog has no signature of a trusted key, or a key cannot be used."""


class QualityGateError(FeastBCError):
    """A version's alignment does not reach the threshold, or a contract does not hold."""


class ContractError(FeastBCError):
    """A consumer's contract cannot be run: its check, model or sample is not what it has to be."""


class DriftError(FeastBCError):
    """What is served lies further from native vectors than a limit allows."""


class ProviderError(FeastBCError):
    """The feature store runs without `BackwardCompatibleProvider`, or in a way it cannot serve."""


class NameCollisionError(FeastBCError, ValueError):
    """Two feature views would share storage names in the online store, or two columns a name in a
    training set."""


class MaterializationError(FeastBCError):
    """The online store refused values; what was written before stays valid."""


class EntityKeyError(FeastBCError, ValueError):
    """Entity ids do not fit the join keys of a view."""


class NotKeptError(FeastBCError, LookupError):
    """A view that is served on read needs native vectors that the online store did not keep."""
