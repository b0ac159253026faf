from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import localcloud

APP = """
import json, os, pathlib

out = pathlib.Path(os.environ["CDK_OUTDIR"])
out.mkdir()
template = json.dumps({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "mine"}}}})
(out / "Example.template.json").write_text(template)
asset = {
    "source": {"path": "Example.template.json", "packaging": "file"},
    "destinations": {"here": {"bucketName": "assets", "objectKey": "template.json"}},
}
(out / "Example.assets.json").write_text(json.dumps({"files": {"template": asset}}))
stack = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "Example.template.json"}}
(out / "manifest.json").write_text(json.dumps({"artifacts": {"Example": stack}}))
"""


@pytest.mark.check
def test_the_example_brings_up_a_project_that_is_not_ours(tmp_path):
    readme = Path(localcloud.__file__).with_name("README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "app.py").write_text(APP)
    environment = {**os.environ, "PYTHONPATH": str(Path(localcloud.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Deploying stack Example: 1 resources." in done.stdout
    assert "'mine'" in done.stdout.splitlines()[-1]
    assert not (tmp_path / ".example").exists()
