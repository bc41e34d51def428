"""CRAS, PBAS and CRR on images, as they were published: a frozen image network in place of features of a scan."""

from __future__ import annotations

from dusnet.images.backbone import Backbone, wide_resnet50
from dusnet.images.dataset import ImageDataset, ImageSample
from dusnet.images.detector import METHODS, ImageDetector, ImageScores

__all__ = ["METHODS", "Backbone", "ImageDataset", "ImageDetector", "ImageSample", "ImageScores", "wide_resnet50"]
