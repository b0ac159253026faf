"""Bounds on the cost of one input. model_code.reading.decoder_process has the product's bounds on decoders."""

from model_code.reading.decoder_process import STUCK_SECONDS

MEMORY_BYTES = 512 * 1024**2
"""Bytes that the reading process may grow above its size after imports; enforced by RLIMIT_AS."""

INPUT_SECONDS = STUCK_SECONDS + 20
"""Seconds after which an input is a hang: more than the product's own timeout of a decoder."""
