"""Folders of images that are laid out as MVTec AD: `CLASS/train/good`, `CLASS/test/KIND`, `CLASS/ground_truth/KIND`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dusnet.errors import BadConfig, BadInput
from dusnet.io import natural_key
from dusnet.io.marks import Kind, kind_of

GOOD = "good"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class ImageSample:
    """One test image.

    Attributes:
        path: the file.
        kind: what is wrong with it, `good` for nothing.
        mask: image of the same size that is not black where the defect is; None for good ones, and where there is none.
    """

    path: Path
    kind: str
    mask: Path | None

    @property
    def anomalous(self) -> bool:
        """Whether it shows a defect."""
        return self.kind != GOOD


@dataclass(frozen=True)
class ImageDataset:
    """A folder of classes.

    Attributes:
        root: the folder.
        classes: names of its classes, sorted.
    """

    root: Path
    classes: tuple[str, ...]

    @classmethod
    def open(cls, root: Path) -> ImageDataset:
        """Find the classes of a folder; no image is read.

        Raises:
            BadInput: it has none.
        """
        if not root.is_dir():
            raise BadInput(f"{root} is no folder; give one that has CLASS/train/good with images.")
        names = sorted(
            one.name for one in root.iterdir() if (one / "train" / GOOD).is_dir() and not one.name.startswith(".")
        )
        if not names:
            raise BadInput(f"{root} has no class: no folder in it has train/good; lay it out as MVTec AD.")
        return cls(root, tuple(names))

    def chosen(self, wanted: list[str]) -> tuple[str, ...]:
        """The wanted classes, all for none.

        Raises:
            BadConfig: one of them does not exist.
        """
        unknown = [name for name in wanted if name not in self.classes]
        if unknown:
            raise BadConfig(f"{self.root} has no class {unknown[0]!r}; its classes are {', '.join(self.classes)}.")
        return tuple(dict.fromkeys(wanted)) or self.classes

    def train(self, name: str) -> list[Path]:
        """The good images of a class to learn from.

        Raises:
            BadInput: there is none.
        """
        folder = self.root / name / "train" / GOOD
        found = _images(folder)
        if not found:
            raise BadInput(f"{folder} has no image ({', '.join(SUFFIXES)}); put good ones there.")
        return found

    def test(self, name: str) -> list[ImageSample]:
        """The test images of a class, good ones first.

        Raises:
            BadInput: there is none.
        """
        folder = self.root / name / "test"
        folders = folder.iterdir() if folder.is_dir() else ()
        kinds = sorted(
            (one.name for one in folders if one.is_dir() and not one.name.startswith(".")),
            key=lambda kind: (kind != GOOD, kind),
        )
        found = [self._sample(name, kind, path) for kind in kinds for path in _images(folder / kind)]
        if not found:
            raise BadInput(f"{folder} has no image; put test images into {GOOD}/ and a folder for every defect.")
        return found

    def _sample(self, name: str, kind: str, path: Path) -> ImageSample:
        if kind == GOOD:
            return ImageSample(path, kind, None)
        masks = self.root / name / "ground_truth" / kind
        named = [masks / f"{path.stem}{end}{suffix}" for end in ("_mask", "") for suffix in SUFFIXES]
        return ImageSample(path, kind, next((mask for mask in named if mask.is_file()), None))


def _images(folder: Path) -> list[Path]:
    named = [one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES and not one.name.startswith(".")]
    found = [one for one in named if one.is_file() and kind_of(one) is not Kind.PICTURE]  # no pictures of scores
    return sorted(found, key=natural_key)
