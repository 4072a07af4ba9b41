"""The batch engine wrapper: any Feast compute engine, with one pass per versioned embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import pyarrow as pa
from feast import Entity, FeatureView
from feast.errors import FeatureViewNotFoundException
from feast.infra.common.materialization_job import (
    MaterializationJob,
    MaterializationJobStatus,
    MaterializationTask,
)
from feast.infra.common.retrieval_task import HistoricalRetrievalTask
from feast.infra.compute_engines.base import ComputeEngine
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.infra.registry.base_registry import BaseRegistry
from tqdm import tqdm

from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.entity_keys import key_types
from feast_bc.errors import ProviderError
from feast_bc.feast_internals import RAY_ENGINE, SPARK_ENGINE, SPARK_SOURCE, is_a, spark_session
from feast_bc.materialization.bucket import Bucket
from feast_bc.materialization.family import Engine, FamilyMaterialization, LocalEngine
from feast_bc.materialization.run_events import RunEvents
from feast_bc.materialization.work import Progress
from feast_bc.native.batch_source import parquet_files
from feast_bc.native.latest_rows import LatestRows, latest_rows
from feast_bc.native.reading import reading
from feast_bc.online.written_views import WrittenViews
from feast_bc.views.source_check import looking
from feast_bc.views.stored_views import is_on_read, version_source


class BackwardCompatibleComputeEngine(ComputeEngine):  # type: ignore[misc]
    """Materializes all views of a versioned embedding together; leaves other views to `inner`.

    Args:
        inner: the engine that `feature_store.yaml` configures.
    """

    def __init__(self, inner: ComputeEngine) -> None:
        super().__init__(
            repo_config=inner.repo_config,
            offline_store=inner.offline_store,
            online_store=inner.online_store,
        )
        self.inner = inner

    @property
    def applies_materialization(self) -> bool:
        """Whether the inner engine keeps the watermarks itself: it runs the provider elsewhere."""
        applies: bool = self.inner.applies_materialization
        return applies

    @property
    def supports_batch(self) -> bool:
        """Feast hands over all views of a `feast materialize` at once."""
        return True

    def update(
        self,
        project: str,
        views_to_delete: Sequence[FeatureView],
        views_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
    ) -> None:
        self.inner.update(
            project, views_to_delete, views_to_keep, entities_to_delete, entities_to_keep
        )

    def teardown_infra(
        self, project: str, fvs: Sequence[FeatureView], entities: Sequence[Entity]
    ) -> None:
        self.inner.teardown_infra(project, fvs, entities)

    def get_historical_features(
        self, registry: BaseRegistry, task: HistoricalRetrievalTask
    ) -> RetrievalJob | pa.Table:
        return self.inner.get_historical_features(registry, task)

    def materialize(
        self,
        registry: BaseRegistry,
        tasks: MaterializationTask | list[MaterializationTask],
        **kwargs: Any,
    ) -> list[MaterializationJob]:
        """One job per task, in their order.

        As with Feast's local engine, what comes after a failure is not attempted; the views of a
        versioned embedding run together where the first of them stands, and fail one by one.

        Raises:
            ProviderError: the inner engine would run them apart.
        """
        tasks = [tasks] if isinstance(tasks, MaterializationTask) else tasks
        if self.applies_materialization:
            _check_apart(tasks)
            jobs_elsewhere: list[MaterializationJob] = self.inner.materialize(
                registry, tasks, **kwargs
            )
            return jobs_elsewhere
        jobs: dict[int, MaterializationJob] = {}
        for place, task in enumerate(tasks):
            if place in jobs:
                continue
            if any(job.status() == MaterializationJobStatus.ERROR for job in jobs.values()):
                jobs[place] = _job(task, failed=True)
            elif _family(task) is None:
                jobs[place] = self._plain(registry, task, **kwargs)
            else:
                places = [i for i, other in enumerate(tasks) if _family(other) == _family(task)]
                errors = self._materialize_family(
                    registry, [tasks[i] for i in places], kwargs.get("lineage_parent")
                )
                for i in places:
                    error = errors.get(tasks[i].feature_view.name)
                    if error is not None:
                        _take_as_registered(registry, tasks[i])
                    jobs[i] = _job(tasks[i], failed=error is not None, error=error)
        return [jobs[place] for place in range(len(tasks))]

    def _plain(
        self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any
    ) -> MaterializationJob:
        try:
            (job,) = self.inner.materialize(registry, task, **kwargs)
        except Exception as error:  # an engine may raise instead of reporting
            return _job(task, failed=True, error=error)
        return job

    def _materialize_family(
        self, registry: BaseRegistry, tasks: Sequence[MaterializationTask], lineage_parent: Any
    ) -> Mapping[str, Exception]:
        first = tasks[0]
        tasks = [task for task in tasks if task.feature_view.online]
        if not tasks:
            return {}
        run = FamilyMaterialization(
            tasks,
            engine=self._engine(tasks[0].feature_view),
            records=WrittenViews(self.online_store, self.repo_config, tasks[0].feature_view),
            served=_served_on_read(registry, tasks),
        )
        bars: list[tqdm[Any]] = []

        def start_progress(total: int) -> Progress:
            if first.tqdm_builder is None:
                return lambda _: None
            # Feast's own would show itself once before it has a name.
            embedding = first.feature_view.batch_source.embedding
            bar = tqdm(total=total, desc=embedding, unit=" rows", ncols=100)
            bars.append(bar)
            update: Callable[[int], object] = bar.update
            return update

        views = [task.feature_view for task in tasks]
        events = RunEvents(self.repo_config, first.project, views, first.end_time, lineage_parent)
        events.started()
        try:
            errors = run.run(start_progress)
        except BaseException as error:
            events.ended({first.feature_view.name: error})
            raise
        finally:
            for bar in bars:
                bar.close()
        events.ended(errors)
        return errors

    def _engine(self, view: FeatureView) -> Engine:
        """Spark or Ray, if it is configured and reads all versions itself; or else this process."""
        sources = [member.source for member in view.batch_source.members]
        types = key_types(view)
        look = looking(list(types), self.repo_config, self.offline_store)
        if is_a(self.inner, RAY_ENGINE) and all(map(parquet_files, sources)):
            from feast_bc.materialization.ray import RayEngine

            return RayEngine(self.online_store, self.repo_config, look)
        if is_a(self.inner, SPARK_ENGINE) and all(is_a(each, SPARK_SOURCE) for each in sources):
            from feast_bc.materialization.spark import SparkEngine

            session = spark_session(self.inner, view)
            return SparkEngine(session, self.online_store, self.repo_config, list(types))

        def read(member: EmbeddingVersion, end: datetime) -> LatestRows:
            with reading(f"source {member.source.name!r}"):
                return latest_rows(
                    self.offline_store,
                    self.repo_config,
                    member.source,
                    feature=member.feature,
                    join_keys=list(types),
                    end=end,
                    unchanged=view.batch_source.keep_unchanged,
                )

        return LocalEngine(
            read, look, lambda work: Bucket.of_store(work, self.online_store, self.repo_config)
        )


def _family(task: MaterializationTask) -> tuple[object, ...] | None:
    """What the views that run together share; None for a view that is no version view."""
    view = task.feature_view
    source = version_source(view)
    if source is None:
        return None
    shared = source.embedding, source.serving, source.keep_unchanged
    return *shared, task.end_time, *key_types(view)


def _served_on_read(
    registry: BaseRegistry, tasks: Sequence[MaterializationTask]
) -> list[FeatureView]:
    """All views of the tasks' family, if it is served on read; those of the tasks as given there.

    They may have been applied one by one, and plan differently.
    """
    views = [task.feature_view for task in tasks]
    if not is_on_read(views[0]):
        return []
    embedding = views[0].batch_source.embedding
    registered = [
        view
        for view in registry.list_feature_views(tasks[0].project)
        if is_on_read(view) and view.online and view.batch_source.embedding == embedding
    ]
    return list({view.name: view for view in [*registered, *views]}.values())


def _take_as_registered(registry: BaseRegistry, task: MaterializationTask) -> None:
    """Let a failed run hold the view as it is registered by now.

    Feast writes the view that the run holds back to the registry, to restore its state: an apply
    during the run would be undone.
    """
    view = task.feature_view
    with suppress(FeatureViewNotFoundException):
        vars(view).update(vars(registry.get_feature_view(view.name, task.project)))


def _check_apart(tasks: Sequence[MaterializationTask]) -> None:
    """Refuse views of one versioned embedding where each would be a run of its own.

    Such runs read the versions anew for every view. At the same time they would also overwrite
    each other's states of an entity.
    """
    families: dict[object, list[str]] = {}
    for task in tasks:
        if (family := _family(task)) is not None and task.feature_view.online:
            families.setdefault(family, []).append(task.feature_view.name)
    for names in families.values():
        if len(names) > 1:
            raise ProviderError(
                f"{', '.join(names)}: this batch engine runs every view apart, and these are "
                "written together. Expected `batch_engine: {type: spark.engine}`, which runs on a "
                "cluster by its `spark.master`; or one of these views a run, by "
                "`feast materialize --views`."
            )


def _job(
    task: MaterializationTask, *, failed: bool, error: BaseException | None = None
) -> MaterializationJob:
    status = MaterializationJobStatus.ERROR if failed else MaterializationJobStatus.SUCCEEDED
    name = f"{task.feature_view.name}-{task.start_time}-{task.end_time}"
    return LocalMaterializationJob(job_id=name, status=status, error=error)
