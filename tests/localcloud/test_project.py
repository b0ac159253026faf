from __future__ import annotations

import re
from pathlib import Path

import localcloud
from localcloud.project import Project
from tests.localcloud.example import PROJECT

PRODUCT = re.compile(r"wetread|model_code|\binfra\b", re.IGNORECASE)


def test_a_project_reaches_the_launcher_as_it_was():
    assert Project.from_json(PROJECT.to_json()) == PROJECT


def test_the_variables_of_a_project_have_its_prefix():
    assert PROJECT.variable("PORT") == "EXAMPLE_PORT"


def test_the_local_cloud_names_no_product():
    folder = Path(localcloud.__file__).parent
    named = {
        str(path.relative_to(folder)): found[0]
        for path in folder.rglob("*.py")
        if (found := PRODUCT.search(path.read_text()))
    }
    assert named == {}
