"""The code of the SageMaker image, which audits data for, trains, evaluates and serves a CT slice classifier."""

import os

# OpenMP reads this once, when torch loads it. By default its threads spin while they wait for one another; on a busy
# machine they use up the time of the thread that they wait for. With sleeping threads, training beside other busy
# processes was measured to be several times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# numpy's library starts a thread per core for every small matrix product and then waits for them: a slice's
# perceptual hash took 32 ms instead of 0.5. The large products are torch's, which limits its threads itself.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
