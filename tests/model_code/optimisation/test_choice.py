"""Which backend answers: the fastest that held, unless it is hardly faster than a more trusted one."""

from __future__ import annotations

from model_code.backends.backend import BackendName
from model_code.optimisation.choice import choose

TORCH, FP32, INT8 = BackendName.TORCH, BackendName.OPENVINO_FP32, BackendName.OPENVINO_INT8


def test_the_fastest_that_held() -> None:
    name, reason = choose({TORCH: 2.0, FP32: 4.0, INT8: 10.0}, {})
    assert name is INT8
    assert reason == (
        "openvino-fp32 holds and is 2.00 x as fast as torch. "
        "openvino-int8 holds and is 2.50 x as fast as openvino-fp32."
    )


def test_one_that_did_not_hold_is_never_chosen() -> None:
    name, reason = choose(
        {TORCH: 2.0, FP32: 4.0}, {INT8: ["a probability differs by 0.3, at most 0.02 is allowed", "b"]}
    )
    assert name is FP32
    assert reason.endswith("openvino-int8 does not hold: a probability differs by 0.3, at most 0.02 is allowed; b.")
    assert choose({TORCH: 2.0}, {FP32: ["a"], INT8: ["b"]})[0] is TORCH


def test_int8_may_serve_where_fp32_did_not_hold() -> None:
    assert choose({TORCH: 2.0, INT8: 4.0}, {FP32: ["a"]})[0] is INT8


def test_a_backend_that_is_hardly_faster_is_not_worth_it() -> None:
    name, reason = choose({TORCH: 2.0, FP32: 4.0, INT8: 4.2}, {})
    assert name is FP32
    assert "openvino-int8 holds and is 1.05 x as fast as openvino-fp32: not worth it." in reason


def test_int8_is_compared_with_the_backend_that_it_would_replace() -> None:
    name, reason = choose({TORCH: 4.0, FP32: 2.0, INT8: 4.1}, {})
    assert name is TORCH
    assert "1.02 x as fast as torch" in reason
