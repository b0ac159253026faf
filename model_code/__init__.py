"""What runs in SageMaker: one container image with the commands ``serve`` and ``train`` for a CT slice classifier."""

import os

# OpenMP reads this once, when torch loads it. By default its threads spin while they wait for one another; on a machine
# with other work to do they spin away the very time that the thread they wait for needs. With sleeping threads,
# training beside other busy processes was measured to be several times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
