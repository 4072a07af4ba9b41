"""The paper's methods, the references beside them, and three of our own, each described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Method:
    """How version k >= 1 comes about; all methods share version 0.

    Attributes:
        name: as in the paper where it has one.
        encoder: how M_k comes about. "fresh": trained from new tables. "frozen": it is M_0.
            "continued": M_{k-1}, trained for half the epochs more. "grown": begins as M_{k-1}
            with new dimensions, and is trained in full. "twin": one model of version 0's data,
            trained from another seed; it tells what the data of version 0 alone are worth.
        backward: the form of B_k. "truncation": keeps the first D_{k-1} coordinates, so it is the
            identity where the dimensions are equal. "linear": W x. "affine": W x + b.
        start: where W begins. "random": as a fresh `torch.nn.Linear` (the paper's).
            "truncation": as that.
        loss: what B_k is fitted by. "single": the error of the last hop. "multi": the errors of
            all hops. None: nothing, or least squares alone, whose minimum is that of both
            (`BackwardMap.fit_least_squares`).
        weight: lambda, where it is not the schedule's.
        across: the weight of the cross-version loss (`Across`), where B_k is trained jointly.
        joint: the loss trains M_k and B_k together; else B_k alone, for a finished M_k.
        refit: in the end B_k is set to the least-squares solution for the final vectors.
        long: M_k is trained for k + 1 times the epochs: as many as a grown model has had in all.
    """

    name: str
    encoder: Literal["fresh", "frozen", "continued", "grown", "twin"] = "fresh"
    backward: Literal["truncation", "linear", "affine"] = "truncation"
    start: Literal["random", "truncation"] = "random"
    loss: Literal["single", "multi"] | None = None
    weight: float | None = None
    across: float = 0.0
    joint: bool = False
    refit: bool = False
    long: bool = False

    def encoder_of(self, version: int) -> str:
        """The name of M_k: methods with the same name have the same model."""
        if version == 0 or self.encoder == "frozen":
            return "M0"
        if self.encoder == "twin":
            return "Twin-M0"
        if self.encoder == "fresh" and not self.joint and not self.long:
            return f"NoBC-M{version}"
        return f"{self.name}-M{version}"


NO_BC = Method("NoBC")
FIX_M0 = Method("Fix-M0", encoder="frozen")
TWIN = Method("Twin", "twin", "affine", refit=True)
POST_LONG = Method("Post-Least-Squares-Long", "fresh", "affine", refit=True, long=True)
BC_ALIGNER_REFIT = Method(
    "BC-Aligner-Refit", "fresh", "affine", loss="multi", joint=True, refit=True
)
BC_ALIGNER_ACROSS = Method(
    "BC-Aligner-Across", "fresh", "affine", loss="multi", across=1.0, joint=True, refit=True
)
BC_GROW = Method("BC-Grow", "grown", "affine", refit=True)
_ALL = (
    FIX_M0,
    TWIN,
    Method("Finetune-M0", encoder="continued"),
    NO_BC,
    Method("Post-Lin-SLoss", "fresh", "linear", loss="single"),
    Method("Post-Lin-MLoss", "fresh", "linear", loss="multi"),
    Method("Post-Least-Squares", "fresh", "affine", refit=True),
    POST_LONG,
    Method("Joint-NoTrans", "fresh", "truncation", loss="single", joint=True),
    Method("Joint-Lin-SLoss", "fresh", "linear", loss="single", joint=True),
    Method("BC-Aligner", "fresh", "linear", loss="multi", joint=True),
    BC_ALIGNER_REFIT,
    BC_ALIGNER_ACROSS,
    BC_GROW,
)
METHODS: Mapping[str, Method] = {method.name: method for method in _ALL}
# Not a method to train: NoBC's models, each kept alive for its own consumers.
KEEP_ALL = "Keep-All"
