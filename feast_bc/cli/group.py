"""What all commands of `feast-bc` share: options, error messages, exit codes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from feast_bc.cli import output
from feast_bc.errors import DriftError, FeastBCError, QualityGateError

if TYPE_CHECKING:
    from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
    from feast_bc.publishing.quality_gate import QualityGate

CATALOG = "feast_bc.catalog"

GATE_CHECKS = {
    "centred-error": "above --max-centred-error",
    "cosine": "below --min-cosine",
    "agreement": "below --min-agreement",
    "unmeasured": "a chain that could not be measured",
}
"""What `--force` waives at relink; by the names of `feast_bc.publishing.refusal`."""

PUBLISH_CHECKS = {**GATE_CHECKS, "future-vectors": "event timestamps more than a day ahead"}
"""The same at publish."""

ACTIVATE_CHECKS = {
    **GATE_CHECKS,
    "before-vectors": "active before the version's first vector",
    "closed-period": "active again from before the end of an earlier activation",
}
"""The same at activate."""

CONTRACT = "contract:CONSUMER"
"""And the contract of a consumer there."""

Command = TypeVar("Command", bound=Callable[..., Any])


class CatalogGroup(click.Group):
    """Prints every expected error as one message, or as JSON, and exits with its code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Known before anything is parsed, so that usage errors are JSON too.
        ctx.meta[output.JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FeastBCError as error:
            output.failure(type(error).__name__, str(error))
            ctx.exit(3 if isinstance(error, QualityGateError | DriftError) else 1)
        except click.UsageError as error:
            if not ctx.meta[output.JSON]:
                raise
            output.failure("UsageError", error.format_message())
            ctx.exit(error.exit_code)


def repo_option(help_: str, *, default: str | None = None) -> Callable[[Command], Command]:
    """`--repo`, a folder that exists.

    Args:
        help_: what the command takes from it.
        default: where it looks unless it is told; None: it does without.
    """
    return click.option(
        "--repo",
        type=click.Path(exists=True, file_okay=False),
        default=default,
        show_default=default is not None,
        metavar="DIR",
        help=help_,
    )


def instant(text: str) -> datetime:
    """Read an instant with time zone, in ISO 8601."""
    try:
        # Python 3.10 does not read the Z itself.
        parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise click.BadParameter(
            f"{text!r} is not an ISO 8601 instant with time zone; expected something like "
            "2026-02-01T00:00:00+00:00."
        )
    return parsed


def common_options(command: Command) -> Command:
    """Give a command `--catalog` and `--json`, both also understood before its name."""

    @click.option(
        "--catalog",
        envvar="FEAST_BC_CATALOG",
        show_envvar=True,
        metavar="URI",
        help="The catalog: a folder or any fsspec URI.",
    )
    @click.option("--json", "_json", is_flag=True, help="Print JSON on stdout, and nothing else.")
    @functools.wraps(command)
    def wrapped(catalog: str | None, _json: bool, **options: Any) -> Any:
        context = click.get_current_context()
        if catalog and context.get_parameter_source("catalog") == ParameterSource.COMMANDLINE:
            context.meta[CATALOG] = catalog
        elif catalog:  # from the environment: an option given anywhere goes first
            context.meta.setdefault(CATALOG, catalog)
        return command(**options)

    return wrapped  # type: ignore[return-value]


def gate_options(
    checks: Mapping[str, str], *, contracts: bool = False
) -> Callable[[Command], Command]:
    """Give a command the quality gate's thresholds, and `--force` for some checks with a word on
    each; with `contracts` also for those of consumers."""
    named = {**checks, **({CONTRACT: "a consumer's"} if contracts else {})}

    def read(text: str) -> str:
        if text in checks or (contracts and text.startswith("contract:")):
            return text
        raise click.BadParameter(f"{text!r} is not one of {', '.join(map(repr, named))}.")

    listed = ", ".join(f"{name} ({what})" for name, what in named.items())

    def decorate(command: Command) -> Command:
        for option in (
            click.option(
                "--force",
                type=read,
                multiple=True,
                metavar="CHECK",
                help=f"Waive this one check; repeatable. The catalog records it. One of: {listed}.",
            ),
            click.option(
                "--min-cosine", type=click.FloatRange(-1, 1), help="Refuse below this mean cosine."
            ),
            click.option(
                "--min-agreement",
                type=click.FloatRange(max=1),
                help="Refuse where a kind of small consumer model keeps less of its skill; 1 is as "
                "on native vectors. Default: 0.15.",
            ),
            click.option(
                "--max-centred-error",
                type=click.FloatRange(min=0),
                help="Refuse above this ||z~ - z|| / ||z - mean||; the mean vector alone has 1. "
                "Default: 0.5.",
            ),
        ):
            command = option(command)
        return command

    return decorate


def gate_of(**thresholds: float | None) -> QualityGate:
    """The gate with the thresholds that were given; those that are None are its own."""
    from feast_bc.publishing.quality_gate import QualityGate

    return QualityGate(**{name: value for name, value in thresholds.items() if value is not None})


def open_catalog() -> EmbeddingCatalog:
    """The catalog that the command was given. Raises UsageError where it was given none."""
    root = click.get_current_context().meta.get(CATALOG)
    if not root:
        raise click.UsageError(
            "Which catalog? Pass --catalog URI (a folder, s3://..., gs://...) or set "
            "FEAST_BC_CATALOG."
        )

    from feast_bc.catalog.embedding_catalog import EmbeddingCatalog

    return EmbeddingCatalog(root)
