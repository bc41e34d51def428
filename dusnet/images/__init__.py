"""CRAS, PBAS and CRR on images, as they were published: a frozen image network in place of features of a scan."""

from __future__ import annotations

from dusnet.images.backbone import Backbone, wide_resnet50
from dusnet.images.dataset import ImageSample, Picture, open_images
from dusnet.images.detector import METHODS, ImageDetector, ImageScores

__all__ = [
    "METHODS",
    "Backbone",
    "ImageDetector",
    "ImageSample",
    "ImageScores",
    "Picture",
    "open_images",
    "wide_resnet50",
]
