"""Datasets, crops, the backbone's features and painted defects."""

from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import label
from small_images import write_dataset
from torch import nn

from dusnet.detectors.feature_space.settings import ImageSettings
from dusnet.errors import BadInput, BadModel, MissingDependency
from dusnet.images import open_images, wide_resnet50
from dusnet.images.backbone import ResidualLevels, patch_features
from dusnet.images.preparation import normalised, read_image, read_mask, require_image
from dusnet.images.pseudo_defects import SHARE, pseudo_defect


class TestDataset:
    def test_it_lists_classes_images_and_masks(self, tmp_path):
        found = open_images(write_dataset(tmp_path, train=3, test=2))
        assert found.classes == ("grid", "wood")
        assert [one.path.name for one in found.train("wood")] == ["000.png", "001.png", "002.png"]
        tests = found.test("grid")
        assert [(one.kind, one.anomalous, one.path.name) for one in tests] == [
            ("good", False, "000.png"),
            ("good", False, "001.png"),
            ("hole", True, "000.png"),
            ("hole", True, "001.png"),
        ]
        assert tests[0].ground_truth is None
        assert tests[2].ground_truth == tmp_path / "grid/ground_truth/hole/000_mask.png"

    def test_a_defect_without_a_mask_is_still_a_defect(self, tmp_path):
        found = open_images(write_dataset(tmp_path, classes=("grid",), train=1, test=1))
        (tmp_path / "grid/ground_truth/hole/000_mask.png").unlink()
        assert found.test("grid")[1].anomalous
        assert found.test("grid")[1].ground_truth is None

    def test_a_sample_is_read_as_the_crop_with_the_labels_of_its_pixels(self, tmp_path):
        settings = ImageSettings(resize=40, crop=32)
        found = open_images(write_dataset(tmp_path, classes=("grid",), train=1, test=1), settings)
        good, bad = (sample.load() for sample in found.test("grid"))
        assert good.pixels.shape == (32, 32, 3)
        assert len(good) == 32 * 32
        assert not good.labels.any()
        mask = np.asarray(Image.open(tmp_path / "grid/ground_truth/hole/000_mask.png"))[4:36, 4:36] > 0
        assert np.array_equal(bad.labels.reshape(32, 32), mask)
        assert (bad.pixels[mask] == (250, 20, 20)).all()
        (tmp_path / "grid/ground_truth/hole/000_mask.png").unlink()
        assert found.test("grid")[1].load().labels is None
        (trained,) = found.train("grid")
        assert (trained.load().class_name, trained.split, found.layout) == ("grid", "train", "mvtec_ad")

    @pytest.mark.parametrize("name", ["nowhere", "empty"])
    def test_a_folder_without_classes_is_refused(self, tmp_path, name):
        (tmp_path / "empty").mkdir()
        with pytest.raises(BadInput, match=name):
            open_images(tmp_path / name)

    def test_what_is_hidden_or_a_folder_is_no_image(self, tmp_path):
        write_dataset(tmp_path, classes=("grid",), train=1, test=1)
        (tmp_path / "grid/test/.checkpoints").mkdir()
        (tmp_path / "grid/test/.checkpoints/a.png").touch()
        (tmp_path / "grid/train/good/folder.png").mkdir()
        (tmp_path / ".cache/train/good").mkdir(parents=True)
        found = open_images(tmp_path)
        assert found.classes == ("grid",)
        assert len(found.train("grid")) == 1
        assert [one.kind for one in found.test("grid")] == ["good", "hole"]

    def test_unknown_classes_and_empty_folders_are_named(self, tmp_path):
        found = open_images(write_dataset(tmp_path, classes=("grid",), train=1, test=1))
        with pytest.raises(BadInput, match=r"'wool'.*grid"):
            found.train("wool")
        (tmp_path / "grid/train/good/000.png").unlink()
        with pytest.raises(BadInput, match="train/good has no image"):
            found.train("grid")


class TestPreparation:
    def test_the_middle_of_the_resized_image_is_taken(self, tmp_path):
        # 40 x 20 becomes 80 x 40; the middle 30 x 30 begins at column 25 and row 5.
        wide = np.zeros((20, 40, 3), np.uint8)
        wide[:, :20] = (200, 0, 0)
        Image.fromarray(wide).save(tmp_path / "wide.png")
        crop = read_image(tmp_path / "wide.png", ImageSettings(resize=40, crop=30))
        assert crop.shape == (30, 30, 3)
        assert (crop[:, :13, 0] == 200).all()
        assert (crop[:, 17:, 0] == 0).all()

    def test_masks_stay_sharp_and_in_register(self, tmp_path):
        mask = np.zeros((40, 40), np.uint8)
        mask[10:20, 5:15] = 1
        Image.fromarray(mask).save(tmp_path / "mask.png")
        found = read_mask(tmp_path / "mask.png", ImageSettings(resize=40, crop=30))
        assert found.dtype == np.bool_
        assert np.array_equal(np.argwhere(found).min(axis=0), [5, 0])
        assert np.array_equal(np.argwhere(found).max(axis=0), [14, 9])

    def test_images_of_other_kinds_become_three_colours(self, tmp_path):
        settings = ImageSettings(resize=8, crop=8)
        grey = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
        Image.fromarray(grey).save(tmp_path / "deep.png")
        deep = read_image(tmp_path / "deep.png", settings)
        np.testing.assert_allclose(deep[..., 0], grey / 257, atol=0.5)
        assert (deep == deep[..., :1]).all()
        assert read_mask(tmp_path / "deep.png", settings).sum() == 63
        clear = np.full((8, 8, 4), 255, np.uint8)
        clear[..., :3] = (10, 20, 30)
        Image.fromarray(clear).save(tmp_path / "clear.png")
        assert (read_image(tmp_path / "clear.png", settings) == (10, 20, 30)).all()
        Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "float.tiff")
        with pytest.raises(BadInput, match=r"float\.tiff"):
            read_image(tmp_path / "float.tiff", settings)

    def test_a_mask_must_be_as_large_as_its_image(self, tmp_path):
        Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / "mask.png")
        Image.fromarray(np.zeros((7, 5), np.uint8)).save(tmp_path / "image.png")
        require_image(tmp_path / "mask.png", like=tmp_path / "mask.png")
        with pytest.raises(BadInput, match=r"7 x 5 pixels.*5 x 7"):
            require_image(tmp_path / "mask.png", like=tmp_path / "image.png")

    def test_values_are_those_of_imagenet(self):
        image = np.zeros((2, 2, 3), np.uint8)
        image[0, 1] = (255, 51, 0)
        values = normalised(image)
        assert values.shape == (3, 2, 2)
        expected = torch.tensor([(1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0 - 0.406) / 0.225])
        assert torch.allclose(values[:, 0, 1], expected, atol=1e-6)

    @pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n\x00\x00"])
    def test_what_is_no_image_is_named(self, tmp_path, content):
        (tmp_path / "bad.png").write_bytes(content)
        with pytest.raises(BadInput, match=r"bad\.png"):
            read_image(tmp_path / "bad.png", ImageSettings())


class TestPatchFeatures:
    def test_levels_are_averaged_resized_and_joined(self):
        fine = torch.arange(16.0).view(1, 1, 4, 4)
        coarse = torch.tensor([[1.0, 3.0], [5.0, 7.0]]).view(1, 1, 2, 2)
        features = patch_features([fine, coarse], 3)
        assert features.shape == (1, 16, 2)
        # A corner has four places around it, the place in row 1, column 1 has nine.
        assert features[0, 0, 0] == pytest.approx((0 + 1 + 4 + 5) / 4)
        assert features[0, 5, 0] == pytest.approx(np.mean([0, 1, 2, 4, 5, 6, 8, 9, 10]))
        # All four places of the coarse level are in reach of each of them.
        assert torch.allclose(features[0, :, 1], torch.full((16,), 4.0))

    def test_a_neighborhood_of_one_leaves_features_alone(self):
        maps = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(0))
        assert torch.equal(patch_features([maps], 1), maps.flatten(2).transpose(1, 2))


class TestBackbone:
    def test_levels_two_and_three_are_taken(self):
        class Network:
            conv1 = nn.Conv2d(3, 4, 1)
            bn1, relu, maxpool = nn.Identity(), nn.ReLU(), nn.MaxPool2d(2)
            layer1, layer2, layer3 = nn.Identity(), nn.Conv2d(4, 6, 2, stride=2), nn.Conv2d(6, 8, 2, stride=2)
            layer4 = None

        levels = ResidualLevels(Network())(torch.ones(1, 3, 16, 16))
        assert [tuple(level.shape) for level in levels] == [(1, 6, 4, 4), (1, 8, 2, 2)]
        stem = Network.maxpool(Network.relu(Network.conv1(torch.ones(1, 3, 16, 16))))
        assert torch.equal(levels[1], Network.layer3(Network.layer2(stem)))

    @pytest.mark.parametrize(
        ("trouble", "remedy"),
        [
            (ImportError("torchvision"), r"dusnet\[image\]"),
            (RuntimeError("operator torchvision::nms does not exist"), "nms does not exist.*the two together"),
        ],
    )
    def test_without_a_fitting_torchvision_it_says_what_to_install(self, monkeypatch, trouble, remedy):
        real = builtins.__import__

        def absent(name, *rest, **more):
            if name.startswith("torchvision"):
                raise trouble
            return real(name, *rest, **more)

        monkeypatch.setattr(builtins, "__import__", absent)
        with pytest.raises(MissingDependency, match=remedy):
            wide_resnet50()

    @pytest.mark.parametrize(
        ("name", "content"), [("gone.pth", None), ("bad.pth", b"no weights"), ("bad.safetensors", b"no weights")]
    )
    def test_bad_weights_are_named(self, tmp_path, monkeypatch, name, content):
        self._stand_in(monkeypatch)
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(BadModel, match=name):
            wide_resnet50(tmp_path / name)

    def test_weights_never_run_code(self, tmp_path, monkeypatch):
        self._stand_in(monkeypatch)

        class Trap:
            def __reduce__(self):
                return Path.touch, (tmp_path / "ran",)

        torch.save({"conv1.weight": Trap()}, tmp_path / "trap.pth")
        with pytest.raises(BadModel, match=r"trap\.pth"):
            wide_resnet50(tmp_path / "trap.pth")
        assert not (tmp_path / "ran").exists()

    def test_weights_of_either_kind_are_loaded(self, tmp_path, monkeypatch):
        from safetensors.torch import save_file

        network = self._stand_in(monkeypatch)
        wanted = {name: torch.full_like(value, 0.25) for name, value in network().state_dict().items()}
        torch.save(wanted, tmp_path / "weights.pth")
        save_file(wanted, tmp_path / "weights.safetensors")
        for name in ("weights.pth", "weights.safetensors"):
            levels = wide_resnet50(tmp_path / name)
            assert all(bool((value == 0.25).all()) for value in levels.state_dict().values())
        torch.save({"other": torch.ones(1)}, tmp_path / "other.pth")
        with pytest.raises(BadModel, match=r"other\.pth.*WideResNet50"):
            wide_resnet50(tmp_path / "other.pth")

    @staticmethod
    def _stand_in(monkeypatch):
        """A module named torchvision whose WideResNet50 is tiny, since the real one is not installed everywhere."""
        import sys
        import types

        class Tiny(nn.Module):
            def __init__(self, weights=None):
                super().__init__()
                assert weights is None
                self.conv1, self.bn1, self.relu = nn.Conv2d(3, 2, 1), nn.Identity(), nn.ReLU()
                self.maxpool, self.layer1 = nn.Identity(), nn.Identity()
                self.layer2, self.layer3 = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)

        package, models = types.ModuleType("torchvision"), types.ModuleType("torchvision.models")
        models.wide_resnet50_2 = Tiny
        package.models = models
        monkeypatch.setitem(sys.modules, "torchvision", package)
        monkeypatch.setitem(sys.modules, "torchvision.models", models)
        return Tiny


class TestPseudoDefect:
    def test_the_mask_is_where_the_image_changed(self):
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
        shares = []
        for seed in range(20):
            damaged, mask = pseudo_defect(image, image, np.random.default_rng(seed))
            changed = np.abs(damaged.astype(int) - image.astype(int)).max(axis=-1)
            assert np.array_equal(mask, changed >= 8)
            shares.append((changed > 0).mean())
            # A smooth shape hangs together, scattered pixels would not.
            _, pieces = label(mask, structure=np.ones((3, 3)))
            assert mask.any()
            assert pieces <= max(3, mask.sum() / 4)
        assert max(shares) <= SHARE[1] + 0.001
        assert min(shares) > 0
        assert np.std(shares) > 0.01

    def test_it_follows_its_generator(self):
        image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
        one, other = (pseudo_defect(image, image, np.random.default_rng(3)) for _ in range(2))
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])
