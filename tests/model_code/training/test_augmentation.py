"""Changes of pose: equal to MONAI's transforms of the same numbers, drawn in the documented ranges."""

from __future__ import annotations

import math

import pytest
import torch

from model_code.training.augmentation import (
    FLIPPED,
    MOVED,
    ROTATION_RADIANS,
    SCALE_FRACTION,
    SHIFT_FRACTION,
    apply,
    drawn,
    matrices,
)

SIZE = 48
IMAGE = torch.rand(1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
UNMOVED = (0.0, (1.0, 1.0), (0.0, 0.0))

Move = tuple[float, tuple[float, float], tuple[float, float]]


def pose(flipped: bool, move: Move) -> torch.Tensor:
    radians, scales, shifts = move
    return matrices(torch.tensor([flipped]), torch.tensor([radians]), torch.tensor([scales]), torch.tensor([shifts]))


def monai(flipped: bool, move: Move) -> torch.Tensor:
    from monai.transforms.spatial.array import Affine, Flip  # here: each process of the tests collects this file

    radians, scales, shifts = move
    image = Flip(spatial_axis=1)(IMAGE) if flipped else IMAGE
    affine = Affine(
        rotate_params=radians,
        scale_params=scales,
        translate_params=[SIZE * shift for shift in shifts],
        padding_mode="zeros",
        image_only=True,
    )
    return torch.as_tensor(affine(image))


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize(
    "move",
    [
        UNMOVED,
        (0.15, (1.0, 1.0), (0.0, 0.0)),
        (0.0, (0.9, 1.1), (0.0, 0.0)),
        (0.0, (1.0, 1.0), (0.05, -0.03)),
        (-0.12, (1.08, 0.93), (-0.04, 0.05)),
    ],
)
def test_it_is_what_monai_makes_of_the_same_numbers(flipped: bool, move: Move) -> None:
    changed = apply(IMAGE[None], pose(flipped, move))[0]
    torch.testing.assert_close(changed, monai(flipped, move).as_subclass(torch.Tensor), atol=2e-5, rtol=0)


def test_a_slice_that_is_flipped_and_not_moved_keeps_its_values() -> None:
    torch.testing.assert_close(apply(IMAGE[None], pose(True, UNMOVED))[0], IMAGE.flip(2), atol=2e-5, rtol=0)


def test_each_slice_of_a_batch_has_its_own_pose() -> None:
    poses = drawn(5, torch.Generator().manual_seed(1))
    together = apply(IMAGE.expand(5, 1, SIZE, SIZE), poses)
    for number in range(5):
        assert torch.equal(apply(IMAGE[None], poses[number : number + 1])[0], together[number])
    assert len({image.sum().item() for image in together}) == 5


def test_what_is_drawn_fills_its_ranges_and_does_not_leave_them() -> None:
    poses = drawn(4000, torch.Generator().manual_seed(2)).double()
    mirror = poses[:, 0, 0].sign()
    assert (mirror < 0).double().mean().item() == pytest.approx(FLIPPED, abs=0.03)
    poses[:, 0] *= mirror[:, None]
    moved = (poses[:, 1, 0] != 0).double().mean().item()
    assert moved == pytest.approx(MOVED, abs=0.03)
    column_scale, row_scale = poses[:, :, 0].norm(dim=1), poses[:, :, 1].norm(dim=1)
    angle = -poses[:, 1, 0].atan2(poses[:, 0, 0])
    shift = poses[:, :, 2].norm(dim=1) / 2
    for value, most in [
        (column_scale - 1, SCALE_FRACTION),
        (row_scale - 1, SCALE_FRACTION),
        (angle, ROTATION_RADIANS),
        (shift, SHIFT_FRACTION * math.sqrt(2)),
    ]:
        assert 0.95 * most < value.abs().max().item() <= most + 1e-6
    assert (column_scale - row_scale).abs().max() > SCALE_FRACTION
