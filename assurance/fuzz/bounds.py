"""What one input may cost. The product's own bound on its decoders' process is model_code.reading.decoder_process."""

from model_code.reading.decoder_process import STUCK_SECONDS

MEMORY_BYTES = 512 * 1024**2
"""By how much the process that reads may grow, above what it takes when all is imported; enforced by RLIMIT_AS."""

INPUT_SECONDS = STUCK_SECONDS + 20
"""After this an input counts as a hang: the product gives up a decoder itself, and the rest is for all else."""
