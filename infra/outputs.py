"""What each output of the stack is, for a person who sees it in CloudFormation's console."""

from __future__ import annotations

from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, str] = {
    "UploadsBucketName": "Bucket for DICOM objects: what is put here is read by the model.",
    "UploadsQueueUrl": "Queue of new uploads on their way to the function ingest.",
    "WorkBucketName": "Bucket with copies of uploads, job manifests and raw outputs, while they are in work.",
    "ResultsBucketName": (
        "Bucket with the answers (predictions/), the documents of studies with their FHIR bundles (studies/), and "
        "DICOM results (dicom/), of which the last name patients."
    ),
    "ModelsBucketName": "Bucket with the artifacts of models, below models/artifacts/.",
    "TrainingBucketName": "Bucket for labelled slices (cohorts/) and training runs (runs/, checkpoints/).",
    "IndexTableName": "Table with one row for each upload: its state and its answer.",
    "BatchesTableName": "Table with the batches, the slots, and the model that is in use.",
    "StudiesTableName": "Table with the studies: their members, and the revisions of their reads.",
    "KeysTableName": "Table with the keys of uploads, used where the setting `keys` is hashed.",
    "Keys": "Whether rows show the keys of uploads (plain) or hide them (hashed).",
    "TickQueueUrl": "Queue that wakes the function dispatch.",
    "DeadLetterQueueUrls": "Queues of messages that failed for good, separated by commas; each should be empty.",
    "WebhookDeadLettersUrl": "Queue of events that the webhook did not take; absent where the stage has no webhook.",
    "ModelPackageGroupName": "Group of the model versions in SageMaker's model registry.",
    "TrainingStateMachineArn": "State machine of training: `wetread train` starts it.",
    "JobRoleArn": "Role of the transform jobs.",
    "EndpointRoleArn": "Role of the endpoints that `wetread endpoint up` makes.",
    "Labels": "Classes that a model of this stage distinguishes, separated by commas.",
    "Folds": "Number of folds in which every labelled patient is tested once; 0 where there is a test part.",
    "JobNamePrefix": "First part of the names of all jobs.",
    "ImageUri": "Container image of all jobs and endpoints, in ECR.",
    "InstanceType": "Host type of the transform jobs.",
    "JobHosts": "Hosts of each kind of job, in JSON: type, number in a job, jobs at once.",
    "Slots": "Number of transform jobs that may run at once.",
    "MaxJobsPerDay": "Number of transform jobs that may start in a day, in UTC.",
    "Closers": "Invocations that close studies at once.",
    "ExpressConcurrency": "Runs of the express lane at once; absent where the stage has none.",
    "ExpressPerDay": "Runs of the express lane that may start in a day, in UTC; absent where the stage has none.",
    "Served": "What uploads must be to be read, in JSON; `wetread submit` refuses others beforehand.",
    "Thresholds": "What the model gate asks, in JSON; `wetread train` says by it what so many patients can show.",
    "PatientKeyId": "KMS key by which identifiers that may be a patient's are replaced.",
    "DataKeyArn": "KMS key that encrypts buckets, tables, queues and logs.",
    "UploadsKeyArn": "KMS key of the given uploads bucket; absent where the stage was given none.",
    "Placement": "Network and tags of what commands make in SageMaker, in JSON; absent where there are none.",
    "AlarmTopicArn": "SNS topic of alarms; subscribe to it to be notified.",
    "KeyTopicArn": "SNS topic that reports changes to the stack's KMS keys.",
    "DashboardName": "CloudWatch dashboard of this stage.",
    "UploaderPolicyArn": "Managed policy for people and systems that upload.",
    "ReaderPolicyArn": "Managed policy for people who query answers.",
    "LabellerPolicyArn": "Managed policy for people who label slices and start training.",
    "ApproverPolicyArn": "Managed policy for people who approve, promote and roll back models.",
    "ExaminerPolicyArn": "Managed policy for people who examine the service: with the reader's, `wetread doctor` runs.",
    "FunctionPackages": "Packages in the functions' layer with their versions, boto3 among them.",
}
"""Key of an output -> its description."""
