"""What runs in SageMaker: one image that trains, audits its data for, evaluates and serves a CT slice classifier."""

import os

# OpenMP reads this once, when torch loads it. By default its threads spin while they wait for one another; on a machine
# with other work to do they spin away the very time that the thread they wait for needs. With sleeping threads,
# training beside other busy processes was measured to be several times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# numpy's library starts a thread per core for every small matrix product, which here only makes it wait for them: a
# slice's fingerprint took 32 ms instead of 0.5. The large products are torch's, which counts its threads itself.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
