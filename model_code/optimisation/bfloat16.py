"""Prepares a network for bfloat16: says in its graph which of the layers the processor computes in fp32."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from model_code.backends.openvino_backend import ov
from model_code.optimisation.export import serialised
from model_code.optimisation.quantisation import LAYERS, in_full_precision

DATA = ("Parameter", "Constant", "Result")


def in_bfloat16(model: ov.Model, kept: int) -> ov.Model:
    """Return a copy of ``model`` to be computed in bfloat16 but for the first ``kept`` layers and the classifier.

    A graph says so in its file alone: OpenVINO has no call for it in Python.
    """
    graph, weights = serialised(model)
    precise = {*_up_to(model, kept), *in_full_precision(model)}
    root = ElementTree.fromstring(graph)  # noqa: S314 (written just now, by OpenVINO)
    for layer in root.iterfind("layers/layer"):
        if layer.get("name") in precise:
            ElementTree.SubElement(_about(layer), "attribute", {"name": "precise", "version": "0"})
    return ov.Core().read_model(ElementTree.tostring(root), weights)


def _up_to(model: ov.Model, kept: int) -> Iterator[str]:
    """Yield the names of what is computed up to the last of so many layers, and of what follows it up to the next."""
    passed = 0
    for node in model.get_ordered_ops():
        passed += node.get_type_name() in LAYERS
        if passed > kept:
            return
        if node.get_type_name() not in DATA:
            yield node.get_friendly_name()


def _about(layer: ElementTree.Element) -> ElementTree.Element:
    """Return the element with what OpenVINO is to know of a layer beside its data; it is before the ports."""
    found = layer.find("rt_info")
    if found is None:
        found = ElementTree.Element("rt_info")
        layer.insert(0 if layer.find("data") is None else 1, found)
    return found
