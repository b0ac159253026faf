"""From pending rows to results: ``dispatch`` starts jobs, ``collect`` reads outputs, ``sweep`` repairs the rest."""

from __future__ import annotations

from typing import cast

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from functions.names import EVENT_SOURCE
from functions.settings import CollectSettings, DispatchSettings, JobShape, SweepSettings
from infra.config import StageConfig
from infra.express import Express, express_limits
from infra.function import Function, FunctionDefaults
from infra.grants import acknowledge_inline_policy, allow, arn_of, volume_key
from infra.kept import removal_policy
from infra.queues import ReliableQueue
from infra.storage import Storage

# A batch of 5,000 takes about 100 table calls to claim and 15,000 short calls, many at a time, to collect: see
# docs/performance.md. The sweep continues a collect that ends at its timeout all the same.
DISPATCH_TIMEOUT = Duration.minutes(1)
COLLECT_TIMEOUT = Duration.minutes(5)
# Sixteen readers of outputs of a MiB each, and the rows of a chunk; tests/functions/flow/test_memory.py adds them up.
COLLECT_MEMORY_MB = 1024


class Transform(Construct):
    """The tick queue and ``dispatch``; the job events, their queue and ``collect``; the clock and ``sweep``."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: StageConfig,
        storage: Storage,
        image_uri: str,
        defaults: FunctionDefaults,
    ) -> None:
        super().__init__(scope, id_)
        self._prefix = config.service_name
        self.express: Express | None = None
        # FIFO with one message group: one dispatch at a time. The delay turns a burst of uploads into one tick.
        self.tick = ReliableQueue(
            self,
            "Tick",
            key=storage.key,
            consumer_timeout=DISPATCH_TIMEOUT,
            removal=removal_policy(config),
            fifo_delay=Duration.seconds(config.tick_delay_seconds),
        )
        self.job_events = ReliableQueue(
            self, "JobEvents", key=storage.key, consumer_timeout=COLLECT_TIMEOUT, removal=removal_policy(config)
        )
        if config.express:
            self.express = Express(
                self,
                "Lane",
                config=config,
                storage=storage,
                image_uri=image_uri,
                job_events=self.job_events,
                defaults=defaults,
            )
        dispatch = self._dispatch_settings(config, storage)
        collect = self._collect_settings(config, storage)
        self.dispatch = Function(
            self,
            "Dispatch",
            module="dispatch",
            settings=dispatch,
            defaults=defaults,
            timeout=DISPATCH_TIMEOUT,
            memory_size=1024,
        )
        self.tick.feed(self.dispatch, batch_size=10)
        self.collect = Function(
            self,
            "Collect",
            module="collect",
            settings=collect,
            defaults=defaults,
            timeout=COLLECT_TIMEOUT,
            memory_size=COLLECT_MEMORY_MB,
        )
        self.job_events.feed(self.collect, batch_size=1)  # one message is one job of up to max_batch objects
        self._route_job_events()

    def add_sweep(
        self, *, config: StageConfig, storage: Storage, defaults: FunctionDefaults, uploads: ReliableQueue
    ) -> Function:
        """Make ``sweep``, which runs once a minute; ``uploads`` is the queue of new uploads."""
        dispatch, collect = self._dispatch_settings(config, storage), self._collect_settings(config, storage)
        self.sweep = Function(
            self,
            "Sweep",
            module="sweep",
            settings=SweepSettings(
                **vars(collect) | vars(dispatch),
                stale_seconds=config.stale_seconds,
                max_job_seconds=config.max_job_seconds,
                closers=config.closers,
                patience=config.patience,
                series=config.series,
                uploads_bucket=storage.uploads.bucket_name,
                uploads_queue_name=uploads.queue.queue_name,
                hidden_keys_table=storage.keys.table_name if config.keys == "hashed" else "",
                data_key_arn=storage.key.key_arn,
                urgent_labels=config.urgent_labels,
                fhir_results=config.fhir_results,
            ),
            defaults=defaults,
            timeout=COLLECT_TIMEOUT,  # it finishes what dispatch and collect left unfinished
            memory_size=COLLECT_MEMORY_MB,
        )
        self._start_sweep_every_minute()
        self._let_sweep_share()
        return self.sweep

    def grant_start_jobs(self, grantee: iam.IGrantable) -> None:
        """Let the grantee create, tag and describe the service's own transform jobs, and compare their Model.

        PassRole is not needed: the Model has the role.
        """
        models = arn_of(self, "sagemaker", "model", f"{self._prefix}-*")
        verbs = ("sagemaker:CreateTransformJob", "sagemaker:DescribeModel")
        allow(grantee, *verbs, on=[models], because="Every promotion makes another Model.")
        self._allow_jobs(grantee, "CreateTransformJob", "AddTags", "DescribeTransformJob")
        if self.express:
            self.express.grant_invoke(grantee)

    def grant_describe_jobs(self, grantee: iam.IGrantable) -> None:
        """Let the grantee describe the service's own transform jobs."""
        self._allow_jobs(grantee, "DescribeTransformJob")

    def grant_stop_jobs(self, grantee: iam.IGrantable) -> None:
        """Let the grantee stop the service's own transform jobs."""
        self._allow_jobs(grantee, "StopTransformJob")

    def grant_announce(self, grantee: iam.IGrantable) -> None:
        """Let the grantee put the service's own events onto the account's default bus."""
        bus = arn_of(self, "events", "event-bus", "default")
        # Of several events in one request, all must be the service's.
        only_own = {"ForAllValues:StringEquals": {"events:source": EVENT_SOURCE}, "Null": {"events:source": "false"}}
        allow(grantee, "events:PutEvents", on=[bus], when=only_own)

    def _allow_jobs(self, grantee: iam.IGrantable, *verbs: str) -> None:
        jobs = arn_of(self, "sagemaker", "transform-job", f"{self._prefix}-*")
        actions = [f"sagemaker:{verb}" for verb in verbs]
        allow(grantee, *actions, on=[jobs], because="Every batch has a separate job, named after the service first.")

    def _dispatch_settings(self, config: StageConfig, storage: Storage) -> DispatchSettings:
        return DispatchSettings(
            index_table=storage.index.table_name,
            batches_table=storage.batches.table_name,
            work_bucket=storage.work.bucket_name,
            models_bucket=storage.models.bucket_name,
            job_name_prefix=self._prefix,
            slots=config.slots,
            max_batch=config.max_batch,
            parallel_threshold=config.parallel_threshold,
            max_wait_seconds=config.max_wait_seconds,
            max_work_seconds=config.max_work_seconds,
            max_jobs_per_day=config.max_jobs_per_day,
            shape=JobShape(
                instance_type=config.instance_type,
                instance_count=config.instance_count,
                max_concurrent_transforms=config.max_concurrent_transforms,
                max_payload_mb=config.job_payload_mb,
                transform_ami_version=config.transform_ami_version,
                data_key_arn=storage.key.key_arn,
                volume_key_arn=volume_key(storage.key, config.instance_type),
                resource_tags=config.placement.resource_tags,
            ),
            express=express_limits(config),
            express_function=self.express.function.function_name if self.express else "",
        )

    def _collect_settings(self, config: StageConfig, storage: Storage) -> CollectSettings:
        return CollectSettings(
            index_table=storage.index.table_name,
            batches_table=storage.batches.table_name,
            work_bucket=storage.work.bucket_name,
            results_bucket=storage.results.bucket_name,
            tick_queue_url=self.tick.queue.queue_url,
            tick_window_seconds=config.tick_window_seconds,
            job_name_prefix=self._prefix,
            max_attempts=config.max_attempts,
            results_kept_days=config.results_kept_days,
            studies_table=storage.studies.table_name,
        )

    def _route_job_events(self) -> None:
        ended = events.Rule(
            self,
            "JobEnded",
            description="Every end of a transform job of the service",
            event_pattern=events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Transform Job State Change"],
                detail={
                    "TransformJobName": [{"prefix": f"{self._prefix}-"}],
                    "TransformJobStatus": ["Completed", "Failed", "Stopped"],
                },
            ),
        )
        self.job_events.receive_events_of(ended)

    def _start_sweep_every_minute(self) -> None:
        # No retries: the next minute's sweep is the retry, and old invocations would delay it.
        once = targets.LambdaFunction(self.sweep, retry_attempts=0)
        events.Rule(
            self,
            "EveryMinute",
            description="Starts the sweep",
            schedule=events.Schedule.rate(Duration.minutes(1)),
            targets=[once],
        )
        self.sweep.configure_async_invoke(retry_attempts=0, max_event_age=Duration.minutes(1))

    def _let_sweep_share(self) -> None:
        """Let the sweep invoke itself; by another policy than its role's, which must be there before the function."""
        itself = iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[self.sweep.function_arn])
        policy = iam.Policy(self, "SweepItself", statements=[itself], roles=[cast("iam.Role", self.sweep.role)])
        acknowledge_inline_policy(policy)
