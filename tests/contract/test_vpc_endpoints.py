"""docs/stages.md has every endpoint that a VPC without a way out needs: one for each client that the functions make."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENDPOINTS = {"sagemaker": "sagemaker.api", "cloudwatch": "monitoring"}  # a client's name where the endpoint has another


def test_the_page_lists_the_endpoints_of_the_functions_clients_and_no_others() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "functions").rglob("*.py"))
    clients = set(re.findall(r"\bclient\(\s*\"([a-z0-9-]+)\"", sources))
    (section,) = re.findall(r"^### A VPC$(.*?)^### ", (ROOT / "docs/stages.md").read_text(), re.M | re.S)
    listed = re.findall(r"^\| `([\w.]+)` \|", section, re.M)
    assert sorted(listed) == sorted({ENDPOINTS.get(one, one) for one in clients})
