import torch

from vecq_hw.train.augment import draw_views, take_views


def plain(x, views, padding):
    """One image at a time."""
    images = []
    for image, (top, left, mirrored) in zip(x, views.tolist(), strict=True):
        _, height, width = image.shape
        padded = torch.nn.functional.pad(image, (padding,) * 4)
        crop = padded[:, top : top + height, left : left + width]
        images.append(crop.flip(2) if mirrored else crop)
    return torch.stack(images)


def test_views_are_crops_and_mirror_images():
    generator = torch.Generator().manual_seed(0)
    for shape, padding, flip in (((40, 3, 6, 9), 4, True), ((40, 1, 7, 7), 0, True),
                                 ((40, 2, 5, 4), 2, False)):  # fmt: skip
        x = torch.rand(shape)
        views = draw_views(40, padding, flip, generator)
        assert torch.equal(take_views(x, views, padding), plain(x, views, padding))


def test_every_place_and_both_sides_are_drawn():
    views = draw_views(4000, 2, True, torch.Generator().manual_seed(0))
    assert len(torch.unique(views, dim=0)) == 5 * 5 * 2
    assert 1900 < int(views[:, 2].sum()) < 2100
    assert int(draw_views(100, 2, False, torch.Generator()).amax(0)[2]) == 0
