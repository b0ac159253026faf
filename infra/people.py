"""Policies for people, one for each kind of use of the command line.

An operator attaches them to roles or groups; the stack creates no user and no role for people. `wetread erase`,
`model register`, `endpoint` and `experiment` are an administrator's: see docs/operations.md.
"""

from __future__ import annotations

from aws_cdk import ArnFormat, Aws, DefaultStackSynthesizer, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from functions.names import ARTIFACTS, COHORTS, INSTANCES, RUNS, IndexName
from infra.data_grants import KEYS_ARE_MANY
from infra.grants import KEEP, READ, WRITE, allow, arn_of
from infra.model_hosting import ModelHosting
from infra.queues import ReliableQueue
from infra.storage import Storage
from infra.training import Training

JOB_LOGS = ("/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs")
# The items of the batches table that say which version serves: an approver may change no others.
STANDINGS = ("CHAMPION", "PROMOTION#*", "WITHDRAWN#*", "UNMARKED")
RANDOM_STACK_ID = "A stack's ARN ends with a random id."


class People(Construct):
    """The managed policies ``uploader``, ``reader``, ``labeller``, ``approver`` and ``examiner`` of ``service``."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        service: str,
        storage: Storage,
        hosting: ModelHosting,
        training: Training,
        tick: ReliableQueue,
        dead_letters: list[str],
        undelivered: str,
        functions: list[str],
        topics: list[str],
        hides_keys: bool,
    ) -> None:
        super().__init__(scope, id_)
        self._service = service
        self._storage = storage
        self._training = training
        self.uploader = self._policy("Uploader", "sends objects to wetread, and reads nothing")
        self.reader = self._policy("Reader", "reads wetread's rows and results, and sees how the service is")
        self.labeller = self._policy("Labeller", "sends labelled slices to wetread, trains, and reads reports")
        self.approver = self._policy(
            "Approver", "decides which version of wetread's model serves, and has uploads read again"
        )
        # Not a part of the reader's: IAM takes no policy that long.
        self.examiner = self._policy("Examiner", "sees how wetread was deployed, and what its account allows")
        self._allow_uploads()
        self._allow_rows()
        self._allow_survey(dead_letters)
        self._allow_doctor(hosting, functions, topics, undelivered)
        self._allow_training()
        self._allow_versions(hosting)
        self._allow_withdrawing(tick, hides_keys=hides_keys)

    def _policy(self, name: str, does: str) -> iam.ManagedPolicy:
        """Make a policy with what every command needs: to read the outputs of the stack."""
        policy = iam.ManagedPolicy(self, name, description=f"Who has it {does}")
        allow(policy, "cloudformation:DescribeStacks", on=[self._stack], because=RANDOM_STACK_ID)
        return policy

    @property
    def _stack(self) -> str:
        return arn_of(self, "cloudformation", "stack", f"{Stack.of(self).stack_name}/*")

    def _allow_uploads(self) -> None:
        """Let uploaders add objects and abort partial uploads: never read, list, delete or replace a version."""
        everything = self._storage.uploads.arn_for_objects("*")
        actions = ("s3:PutObject", "s3:AbortMultipartUpload")
        allow(self.uploader, *actions, on=[everything], because="Uploads have any keys.")
        if self._storage.uploads_key:
            self._allow_key(self.uploader, WRITE, "s3", key=self._storage.uploads_key)
        self._allow_quotas(self.uploader)

    def _allow_rows(self) -> None:
        """Let readers query rows by every index but that by patient, read rows by id, studies, and result documents."""
        index = self._storage.index.table_arn
        studies = self._storage.studies.table_arn
        queried = [f"{index}/index/{one.title}" for one in IndexName] + [f"{studies}*"]
        allow(self.reader, "dynamodb:Query", on=queried, because="The studies and their indexes: policies are short.")
        allow(self.reader, "dynamodb:BatchGetItem", on=[index])
        results = self._storage.results
        allow(self.reader, "s3:GetObject", on=[results.arn_for_objects("*")], because="The key of a result is a hash.")
        # A study's DICOM results have any names. And without it S3 answers "access denied" for what has expired.
        allow(self.reader, "s3:ListBucket", on=[results.bucket_arn])
        self._allow_key(self.reader, READ, "s3", "dynamodb", "states")

    def _allow_survey(self, dead_letters: list[str]) -> None:
        """Let readers see slots, champion, training runs, dead letters and the endpoint."""
        reader = self.reader
        allow(reader, "dynamodb:GetItem", "dynamodb:BatchGetItem", on=[self._storage.batches.table_arn])
        allow(reader, "sqs:GetQueueAttributes", on=dead_letters)
        name = f"{self._service}-endpoint"
        endpoint = [arn_of(self, "sagemaker", kind, name) for kind in ("endpoint", "endpoint-config")]
        allow(
            reader, "sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig", "sagemaker:ListTags", on=endpoint
        )
        self._follow_runs(reader)

    def _allow_doctor(self, hosting: ModelHosting, functions: list[str], topics: list[str], undelivered: str) -> None:
        """Let examiners ask what `wetread doctor` asks, beside what readers may, and count ``undelivered`` events."""
        examiner = self.examiner
        stack = ("cloudformation:GetTemplate", "cloudformation:ListStackResources")
        allow(examiner, *stack, on=[self._stack], because=RANDOM_STACK_ID)
        uploads = [self._storage.uploads.bucket_arn]
        events = ("s3:GetBucketNotification", "s3:GetBucketVersioning")
        allow(examiner, *events, "s3:GetBucketLocation", "s3:GetEncryptionConfiguration", on=uploads)
        keys = dict.fromkeys((self._storage.key, self._storage.uploads_key or self._storage.key))
        allow(examiner, "kms:DescribeKey", "kms:GetKeyPolicy", on=[one.key_arn for one in keys])
        hosting.grant_look(examiner)
        allow(examiner, "lambda:GetFunctionConcurrency", on=functions)
        mappings = [self._colon("lambda", "event-source-mapping", "*")]
        allow(examiner, "lambda:GetEventSourceMapping", on=mappings, because="The id of a mapping is random.")
        allow(examiner, "lambda:GetAccountSettings", on=["*"], because="The action takes no resources.")
        allow(examiner, "sns:ListSubscriptionsByTopic", on=topics)
        version = [arn_of(self, "ssm", "parameter", f"cdk-bootstrap/{_qualifier(self)}/version")]
        allow(examiner, "ssm:GetParameter", on=version)
        if undelivered:  # not of the readers: their policy is at IAM's limit
            allow(examiner, "sqs:GetQueueAttributes", on=[undelivered])
        self._allow_quotas(examiner)

    def _allow_quotas(self, policy: iam.ManagedPolicy) -> None:
        """Let the holder see that a quota is too small for any job."""
        lists = ("servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas")
        allow(
            policy, "servicequotas:GetServiceQuota", *lists, on=["*"], because="Two of the actions take no resources."
        )

    def _allow_training(self) -> None:
        """Let labellers send labelled slices, start and follow runs, and read the documents of runs."""
        labeller, bucket = self.labeller, self._storage.training
        cohorts = [bucket.arn_for_objects(f"{COHORTS}*")]
        allow(labeller, "s3:GetObject", "s3:PutObject", on=cohorts, because=KEYS_ARE_MANY)
        allow(labeller, "states:StartExecution", on=[self._training.workflow.state_machine.state_machine_arn])
        self._follow_runs(labeller)
        self._read_runs(labeller)
        self._allow_quotas(labeller)
        self._allow_key(labeller, WRITE, "s3", "states")

    def _allow_versions(self, hosting: ModelHosting) -> None:
        """Let approvers read the versions with their figures, and promote one."""
        approver = self.approver
        allow(
            approver,
            "sagemaker:ListModelPackages",
            on=["*"],
            because="ListModelPackages has no reliable resource-level scope.",
        )
        hosting.grant_promote(approver)
        artifacts = [self._storage.models.arn_for_objects(f"{ARTIFACTS}*")]
        allow(approver, "s3:GetObject", on=artifacts, because=KEYS_ARE_MANY)
        # Without it S3 answers "access denied" for an artifact that is gone.
        allow(approver, "s3:ListBucket", on=[self._storage.models.bucket_arn])
        batches = self._storage.batches.table_arn
        allow(approver, "dynamodb:GetItem", "dynamodb:BatchGetItem", on=[batches])
        allow(
            approver,
            *("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"),
            on=[batches],
            when={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(STANDINGS)}},
        )
        self._read_runs(approver)

    def _allow_withdrawing(self, tick: ReliableQueue, *, hides_keys: bool) -> None:
        """Let approvers mark the results of a withdrawn version, and have its uploads copied and read again."""
        approver, storage = self.approver, self._storage
        index = storage.index.table_arn
        allow(approver, "dynamodb:Query", on=[f"{index}/index/{IndexName.BY_MODEL.title}"])
        allow(approver, "dynamodb:GetItem", "dynamodb:UpdateItem", on=[index])
        allow(approver, "dynamodb:UpdateItem", on=[storage.studies.table_arn])
        if hides_keys:
            allow(approver, "dynamodb:BatchGetItem", on=[storage.keys.table_arn])
        versions = [storage.uploads.arn_for_objects("*")]
        allow(approver, "s3:GetObject", "s3:GetObjectVersion", on=versions, because="Uploads have any keys.")
        # Without it S3 answers "access denied" for a version that is gone.
        allow(approver, "s3:ListBucket", "s3:ListBucketVersions", on=[storage.uploads.bucket_arn])
        copies = [storage.work.arn_for_objects(f"{INSTANCES}*")]
        allow(approver, "s3:PutObject", "s3:DeleteObject", on=copies, because=KEYS_ARE_MANY)
        allow(approver, "sqs:SendMessage", on=[tick.queue.queue_arn])
        self._allow_key(approver, KEEP, "s3", "dynamodb", "sqs")
        if storage.uploads_key and storage.uploads_key is not storage.key:
            self._allow_key(approver, READ, "s3", key=storage.uploads_key)

    def _follow_runs(self, policy: iam.ManagedPolicy) -> None:
        """Let the holder list runs of the workflow, and read the state of one and the log of its job."""
        machine = self._training.workflow.state_machine.state_machine_arn
        name = self._training.workflow.state_machine.state_machine_name
        executions = self._colon("states", "execution", f"{name}:*")
        allow(policy, "states:ListExecutions", on=[machine])
        verbs = ("states:DescribeExecution", "states:GetExecutionHistory")
        allow(policy, *verbs, on=[executions], because="Every run is a separate execution.")
        allow(
            policy,
            *("sagemaker:ListTrainingJobs", "sagemaker:ListProcessingJobs"),
            on=["*"],
            because="These actions take no resources.",
        )
        streams = [self._colon("logs", "log-group", f"{group}:log-stream:{self._service}-*") for group in JOB_LOGS]
        allow(policy, "logs:GetLogEvents", on=streams, because="Every job has a stream for each host.")
        groups = [self._colon("logs", "log-group", f"{group}*") for group in JOB_LOGS]
        allow(policy, "logs:DescribeLogStreams", on=groups, because="IAM checks a group with varying endings.")

    def _read_runs(self, policy: iam.ManagedPolicy) -> None:
        """Let the holder read the documents and reports of runs, and learn that one is missing."""
        bucket = self._storage.training
        allow(policy, "s3:GetObject", on=[bucket.arn_for_objects(f"{RUNS}*")], because=KEYS_ARE_MANY)
        # Without it S3 answers "access denied" for a missing object.
        allow(policy, "s3:ListBucket", on=[bucket.bucket_arn])

    def _allow_key(
        self, policy: iam.ManagedPolicy, actions: tuple[str, ...], *services: str, key: kms.IKey | None = None
    ) -> None:
        """Let the holder use a key, by default the data key, through these services only.

        Their own permissions limit what is read.
        """
        through = [f"{service}.{Aws.REGION}.{Aws.URL_SUFFIX}" for service in services]
        allow(
            policy,
            *actions,
            on=[(key or self._storage.key).key_arn],
            when={"StringEquals": {"kms:ViaService": through}},
        )

    def _colon(self, service: str, resource: str, name: str) -> str:
        return Stack.of(self).format_arn(
            service=service, resource=resource, resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
        )


def _qualifier(scope: Construct) -> str:
    """Return the qualifier of CDK's bootstrap stack that the stack deploys with."""
    qualifier = Stack.of(scope).synthesizer.bootstrap_qualifier
    return qualifier or DefaultStackSynthesizer.DEFAULT_QUALIFIER
