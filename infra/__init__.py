"""What is deployed: the CDK app, one stack, one construct per concern."""

import os
import sys
from pathlib import Path

# jsii runs the first `node` on PATH. `make setup` puts one beside this interpreter, so Node need not be installed. It
# must be found even when the environment is not activated, and before a module of this package has aws_cdk start jsii.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
