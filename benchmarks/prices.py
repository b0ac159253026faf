"""What AWS charges for the requests of the control plane: on-demand list prices of us-east-1, in USD, free tiers aside.

They are those of the services' price pages (aws.amazon.com/<service>/pricing) as known in November 2026, typed in and
not fetched: check them before you rely on a sum. DynamoDB's are the ones since November 2024. Some third-party pages
list S3's events as free; here they cost what EventBridge's opt-in events do. Nothing is charged for S3's DELETE, for
requests to SageMaker's API, and for the events that SageMaker itself sends.
"""

from __future__ import annotations

from collections.abc import Mapping

S3_WRITE = 0.005 / 1_000  # PUT, COPY, POST, LIST (s3/pricing, "Requests & data retrievals", S3 Standard)
S3_READ = 0.0004 / 1_000  # GET, HEAD
WRITE_UNIT = (
    0.625 / 1_000_000
)  # DynamoDB on-demand: 1 KB of an item or of an index entry; transactional ones count twice
READ_UNIT = 0.125 / 1_000_000  # DynamoDB on-demand: 4 KB strongly consistent, 8 KB of an index
SQS_STANDARD = 0.40 / 1_000_000  # sends, receives and deletes; up to ten messages each
SQS_FIFO = 0.50 / 1_000_000
S3_EVENT = 1.00 / 1_000_000  # EventBridge: an "opt-in" event, which S3's are
LAMBDA_REQUEST = 0.20 / 1_000_000
LAMBDA_GB_SECOND = 0.0000133334  # Arm
KMS_REQUEST = 0.03 / 10_000  # HMAC keys too
LOG_GB = 0.50  # CloudWatch Logs, ingested
HOST_HOUR = 0.23  # SageMaker batch transform, ml.m5.xlarge, billed by the second from its start-up on
AS_OF = "us-east-1, November 2026"

S3_PRICES: Mapping[str, float] = {
    "get_object": S3_READ,
    "head_object": S3_READ,
    "put_object": S3_WRITE,
    "copy_object": S3_WRITE,
    "list_objects_v2": S3_WRITE,
    "delete_objects": 0.0,
}


def price(service: str, operation: str) -> float:
    """Return the price of one request; DynamoDB charges its units instead."""
    return {
        "s3": S3_PRICES.get(operation, 0.0),
        "kms": KMS_REQUEST,
        "sqs": SQS_FIFO,
        "dynamodb": 0.0,
        "sagemaker": 0.0,
    }[service]
