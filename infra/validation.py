"""What a stage's settings may be: in their bounds (written in infra/config.py), well formed, not contradictory."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydicom import config as pydicom_config
from pydicom import uid

from functions.settings import FEWEST_FOLDS, OneOf, Range, hints_of, values_of
from infra import account_rules, webhook_rules

if TYPE_CHECKING:
    from infra.config import StageConfig

# All that the container of model_code/ reads; an object of another kind is refused by it, one by one.
MODALITIES = ("CT",)
SOP_CLASSES = (str(uid.CTImageStorage),)
TRANSFER_SYNTAXES = tuple(
    map(
        str,
        (
            uid.ImplicitVRLittleEndian,
            uid.ExplicitVRLittleEndian,
            uid.ExplicitVRBigEndian,
            uid.DeflatedExplicitVRLittleEndian,
            uid.RLELossless,
            uid.JPEGBaseline8Bit,
            uid.JPEGExtended12Bit,
            uid.JPEGLossless,
            uid.JPEGLosslessSV1,
            uid.JPEGLSLossless,
            uid.JPEGLSNearLossless,
            uid.JPEG2000Lossless,
            uid.JPEG2000,
            uid.HTJ2KLossless,
            uid.HTJ2KLosslessRPCL,
            uid.HTJ2K,
        ),
    )
)

# Left out though every kind of job offers them: p2 and p3 (too old for the image's CUDA), trn and inf (no CUDA).
TRANSFORM_CPU = ("m4", "m5", "m6i", "m7i", "c4", "c5", "c6i", "c7i", "r6i", "r7i")
PROCESSING_CPU = (*TRANSFORM_CPU, "m8i", "c8i", "r5", "r5d", "r8i")
TRAINING_CPU = (*PROCESSING_CPU, "c5n")
GPU = ("g4dn", "g5", "g6", "g6e")
TRAINING_GPU = (*GPU, "p4d", "p4de", "p5", "p5e", "p5en")
GPU_FAMILIES = frozenset(TRAINING_GPU)
# Hosts with local disks encrypt them themselves; SageMaker refuses a key for a volume that it does not create.
LOCAL_DISK_FAMILIES = GPU_FAMILIES | {"r5d"}
# Setting -> the kind of job in SageMaker's words, and the instance families that it offers.
INSTANCE_TYPES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "instance_type": ("batch transform", TRANSFORM_CPU + GPU),
    "training_instance_type": ("training", TRAINING_CPU + TRAINING_GPU),
    "processing_instance_type": ("processing", PROCESSING_CPU + GPU),
}
EXPRESS_TICK_SECONDS = 10
MOST_SLOTS = 100  # that the functions look for
# The only times for which CloudWatch keeps logs, in days, with CDK's names.
LOG_RETENTIONS: Mapping[int, str] = {
    1: "ONE_DAY",
    3: "THREE_DAYS",
    5: "FIVE_DAYS",
    7: "ONE_WEEK",
    14: "TWO_WEEKS",
    30: "ONE_MONTH",
    60: "TWO_MONTHS",
    90: "THREE_MONTHS",
    120: "FOUR_MONTHS",
    150: "FIVE_MONTHS",
    180: "SIX_MONTHS",
    365: "ONE_YEAR",
    400: "THIRTEEN_MONTHS",
    545: "EIGHTEEN_MONTHS",
    731: "TWO_YEARS",
    1096: "THREE_YEARS",
    1827: "FIVE_YEARS",
    2192: "SIX_YEARS",
    2557: "SEVEN_YEARS",
    2922: "EIGHT_YEARS",
    3288: "NINE_YEARS",
    3653: "TEN_YEARS",
}
MAX_MB_IN_FLIGHT = 100  # SageMaker's limit on MaxConcurrentTransforms x MaxPayloadInMB
START_SECONDS = 1200  # for a host to start and a job to store its outputs
RESERVED_IN_S3 = ("sthree-", "amzn-s3-demo-")  # buckets' names start with the stack's in lower case
JOB_NAME_ROOM = 22  # of a job name's 63 characters; the rest is purpose, batch or run, and hyphens
DICOM_TEXT = r"[ -\[\]-~]{1,64}"  # a LO of ASCII
LABEL_CODE = re.compile(r"[!-+\--\[\]-~]{1,16} [!-+\--\[\]-~]{1,16} [ -+\--\[\]-~]{1,64}")
LATEST_EVENT_DAYS = 30  # an event waits 14 days in a queue and 14 among the dead letters at most
SLICE_RENEWED_DAYS = 7  # a run reuses an earlier run's copy of a slice up to this age (aws/cohorts.py)


def family(instance_type: str) -> str:
    """Return the family of an instance type: "m5" for "ml.m5.xlarge"."""
    return instance_type.removeprefix("ml.").partition(".")[0]


def problems(config: StageConfig) -> Iterator[str]:
    """Yield one clause for each wrong value of a StageConfig: the setting, its value, what is expected."""
    for check in (
        _out_of_bounds,
        _malformed,
        _wrong_instance_types,
        _contradictory,
        account_rules.problems,
        webhook_rules.problems,
    ):
        yield from check(config)


def _out_of_bounds(config: StageConfig) -> Iterator[str]:
    values = values_of(config)
    for name, hint in hints_of(type(config)).items():
        bound = bound_of(hint)
        if bound and not bound.admits(values[name]):
            yield f"{name} is {values[name]!r}: {bound} is expected"


def bound_of(hint: Any) -> Range | OneOf | None:
    """Return the bound of a setting from its annotation; None when any value of its type will do."""
    bounds = [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, (Range, OneOf))]
    return bounds[0] if bounds else None


def _malformed(config: StageConfig) -> Iterator[str]:
    readable = {"modalities": MODALITIES, "sop_class_uids": SOP_CLASSES, "transfer_syntax_uids": TRANSFER_SYNTAXES}
    for name, read in readable.items():
        values = getattr(config, name)
        if not values:
            yield f"{name} is empty: then every upload would be refused"
        if unread := [one for one in values if one not in read]:
            yield (
                f"{name} has {', '.join(map(_named, unread))}, which the container does not read: at most "
                f"{', '.join(map(_named, read))} is expected, since every such upload would cost a job and fail there"
            )
    if (
        not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", config.service_name)
        or len(config.service_name) > JOB_NAME_ROOM
    ):
        yield (
            f"service_name is {config.service_name!r}: a letter and then at most {JOB_NAME_ROOM - 1} lower case "
            "letters, digits and single hyphens are expected, because the names of stack and jobs start with it and "
            "SageMaker lower-cases names in ARNs"
        )
    if config.service_name.startswith(RESERVED_IN_S3):
        yield (
            f"service_name is {config.service_name!r}: S3 makes no buckets whose names start with "
            f"{' or '.join(RESERVED_IN_S3)}. Choose another"
        )
    if config.alarm_email and not re.fullmatch(r"[^@\s]+@[^@\s]+", config.alarm_email):
        yield f"alarm_email is {config.alarm_email!r}: an e-mail address is expected, or '' for none"
    labels = config.labels
    if (
        len(labels) < 2
        or len(set(labels)) < len(labels)
        or not all(re.fullmatch(r"\w[\w .+-]{0,63}", one) for one in labels)
    ):
        yield (
            f"labels is {list(labels)!r}: two or more different names are expected, each of at most 64 letters, "
            "digits, spaces and . + - _, because a model distinguishes classes and settings list them with commas"
        )
    if unknown := [one for one in config.urgent_labels if one not in labels]:
        yield f"urgent_labels has {', '.join(map(repr, unknown))}: some of labels ({', '.join(labels)}) are expected"


def _named(value: str) -> str:
    """Return a value in quotes, with its name in DICOM when it is a known UID."""
    name = uid.UID(value, validation_mode=pydicom_config.IGNORE).name
    return repr(value) if name == value else f"{value!r} ({name})"


def _wrong_instance_types(config: StageConfig) -> Iterator[str]:
    for name, (job, families) in INSTANCE_TYPES.items():
        value = getattr(config, name)
        if not re.fullmatch(rf"ml\.({'|'.join(families)})\.\w+", value):
            yield (
                f"{name} is {value!r}: 'ml.<family>.<size>' is expected, with a family that {job} offers and the "
                f"image runs on: {', '.join(families)}"
            )


def _contradictory(config: StageConfig) -> Iterator[str]:
    in_flight = config.max_concurrent_transforms * config.job_payload_mb
    if in_flight > MAX_MB_IN_FLIGHT:
        yield f"max_concurrent_transforms x (max_payload_mb + 1) is {in_flight}: at most {MAX_MB_IN_FLIGHT} is allowed"
    if config.tick_delay_seconds <= config.tick_window_seconds:
        yield (
            f"tick_delay_seconds is {config.tick_delay_seconds}: more than tick_window_seconds "
            f"({config.tick_window_seconds}) is expected, or a tick is dropped as the duplicate of a delivered one"
        )
    if config.max_work_seconds + START_SECONDS > config.max_job_seconds:
        yield (
            f"max_job_seconds is {config.max_job_seconds}: at least max_work_seconds ({config.max_work_seconds}) and "
            f"{START_SECONDS} for the start are expected, since a job that is stopped has no outputs"
        )
    if config.training_spot and config.training_max_wait_seconds < config.training_max_seconds:
        yield (
            f"training_max_wait_seconds is {config.training_max_wait_seconds}: at least training_max_seconds "
            f"({config.training_max_seconds}) is expected, since the wait for spot hosts counts the training itself"
        )
    if config.logs_kept_days not in LOG_RETENTIONS:
        yield (
            f"logs_kept_days is {config.logs_kept_days}: one of {', '.join(map(str, LOG_RETENTIONS))} is expected, "
            "since CloudWatch has no other times"
        )
    yield from _not_express(config)
    if 0 < config.folds < FEWEST_FOLDS:
        yield f"folds is {config.folds}: 0 for a test part, or {FEWEST_FOLDS} at least, since few models say too little"
    yield from _kept_too_short(config)
    yield from _impatient(config)
    yield from _uncoded(config)
    if not (config.image_uri or config.torch_index_url):
        for name in INSTANCE_TYPES:
            value = getattr(config, name)
            if family(value) in GPU_FAMILIES:
                yield (
                    f"{name} is {value!r} and torch_index_url is empty: PyTorch's index of builds for CUDA 12 is "
                    "expected, since the GPU hosts' driver does not run what pip takes by default"
                )


def _not_express(config: StageConfig) -> Iterator[str]:
    if not config.express:
        return
    if config.tick_delay_seconds > EXPRESS_TICK_SECONDS:
        yield (
            f"tick_delay_seconds is {config.tick_delay_seconds} and express true: at most {EXPRESS_TICK_SECONDS} is "
            "expected, since a lone upload waits that long for others"
        )
    if config.express_max >= config.max_batch:
        yield (
            f"express_max is {config.express_max} and max_batch {config.max_batch}: less than that is expected, since "
            "dispatch looks no further"
        )
    if config.slots + config.express_concurrency > MOST_SLOTS:
        yield (
            f"slots is {config.slots} and express_concurrency {config.express_concurrency}: together at most "
            f"{MOST_SLOTS} are expected"
        )


def _impatient(config: StageConfig) -> Iterator[str]:
    quiet, longest = config.patience.study_quiet_seconds, config.patience.study_max_open_seconds
    if longest < quiet:
        yield (
            f"study_max_open_seconds is {longest}: at least study_quiet_seconds ({quiet}) is expected, or every study "
            "is closed by force"
        )


def _uncoded(config: StageConfig) -> Iterator[str]:
    """Yield what DICOM results could not be labelled with."""
    if not re.fullmatch(DICOM_TEXT, config.dicom_manufacturer):
        yield (
            f"dicom_manufacturer is {config.dicom_manufacturer!r}: 1 to 64 ASCII characters are expected, without "
            "backslashes, since it is the Manufacturer of DICOM results"
        )
    for label, code in config.label_codes.items():
        if label not in config.labels:
            yield f"label_codes has {label!r}: one of labels is expected ({', '.join(config.labels)})"
        if not LABEL_CODE.fullmatch(code):
            yield (
                f"label_codes has {code!r} for {label!r}: '840539006 SCT COVID-19' is such a code: a value and a "
                "scheme of at most 16 characters each, and a meaning of at most 64, without backslashes and commas"
            )


def _kept_too_short(config: StageConfig) -> Iterator[str]:
    results, uploads = config.results_kept_days, config.uploads_kept_days
    if 0 < results < LATEST_EVENT_DAYS:
        yield (
            f"results_kept_days is {results}: 0 or at least {LATEST_EVENT_DAYS} is expected, since an event that "
            "comes again must find the row of its upload"
        )
    if results and not 0 < uploads <= results:
        yield (
            f"uploads_kept_days is {uploads} and results_kept_days {results}: 1 to {results} is expected, since an "
            "upload without a row would look like one that was never read"
        )
    run = SLICE_RENEWED_DAYS + math.ceil(_longest_run_seconds(config) / 86_400)
    if 0 < config.slices_kept_days < run:
        yield (
            f"slices_kept_days is {config.slices_kept_days}: 0 or at least {run} is expected, or slices expire under a "
            f"training run, which may take {run - SLICE_RENEWED_DAYS} days with copies of {SLICE_RENEWED_DAYS} days"
        )


def _longest_run_seconds(config: StageConfig) -> int:
    """Return how long a run may take from snapshot to evaluation: one training job, three processing jobs."""
    training = config.training_max_wait_seconds if config.training_spot else config.training_max_seconds
    return training + 3 * config.processing_max_seconds
