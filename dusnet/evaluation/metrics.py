"""Areas under curves for objects and points, on raw scores of any range.

scikit-learn computes every area from float64 scores as they are: no sigmoid, no rescaling, no binning. A squashed score
is a trap here: distances around 30 and 40 separate two classes perfectly, and their float32 sigmoids are all equal.

A metric that its labels do not define (only good parts, only defective ones) is NaN, and `why_undefined` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Average = Literal["pooled", "clouds"]

CONVENTIONS: dict[str, str] = {
    "o_auroc": "area under the ROC curve of the object scores of a class",
    "o_ap": "average precision of the object scores of a class (papers print it as O-AUPR)",
    "o_f1_max": "best F1 over all thresholds on the object scores: the threshold is chosen with the test labels, "
    "so it bounds what calibration can reach",
    "p_auroc_pooled": "area under the ROC curve over all points of all test scans of a class together",
    "p_ap_pooled": "average precision over all points of all test scans of a class together",
    "p_f1_max_pooled": "best F1 over all thresholds on the pooled points, threshold chosen with the test labels",
    "p_auroc_clouds": "P-AUROC of each anomalous scan alone, averaged over these scans",
    "p_ap_clouds": "P-AP of each anomalous scan alone, averaged over these scans",
    "p_aupro": "mean share of each defect region that is found, integrated over false-positive rates up to 0.3 "
    "and divided by 0.3; regions are connected components of the labelled points",
}
METRICS: tuple[str, ...] = tuple(CONVENTIONS)


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    raw, truth = np.asarray(scores), np.asarray(labels)
    if raw.ndim != 1 or truth.shape != raw.shape:
        raise ValueError(f"scores and labels must both be (N,), got {raw.shape} and {truth.shape}")
    values = raw.astype(np.float64)
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise ValueError(f"scores must be finite, got {wrong} NaN or infinite values among {len(values)}")
    if truth.dtype != np.bool_ and not np.isin(truth, (0, 1)).all():
        raise ValueError("labels must be bool or 0 and 1; compare your class numbers first, e.g. `labels != 0`")
    return values, truth.astype(np.bool_)


def why_undefined(labels: ArrayLike, thing: str = "entry") -> str | None:
    """Why these labels define no metric, or None when they do.

    Args:
        labels: True where anomalous, (N,) bool.
        thing: what one label belongs to, for the sentence.

    Example:
        >>> why_undefined([False, False], "scan")
        'no anomalous scan among 2'
    """
    truth = np.asarray(labels, dtype=bool)
    if truth.size == 0:
        return f"no {thing} at all"
    if not truth.any():
        return f"no anomalous {thing} among {truth.size}"
    if truth.all():
        return f"no normal {thing} among {truth.size}"
    return None


def _area(name: str, scores: ArrayLike, labels: ArrayLike) -> float:
    """An area of scikit-learn, NaN where the labels define none."""
    values, truth = _checked(scores, labels)
    if why_undefined(truth):
        return float("nan")
    import sklearn.metrics

    return float(getattr(sklearn.metrics, name)(truth, values))


def object_auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Probability that an anomalous scan scores higher than a normal one, ties counting one half.

    Args:
        scores: one score per scan, higher is more anomalous, any range, (N,).
        labels: True for an anomalous scan, (N,) bool or 0 and 1.

    Returns:
        The area in [0, 1], or NaN when only one label occurs.

    Raises:
        ValueError: a score is NaN or infinite, the shapes differ, or labels are not binary.

    Example:
        >>> object_auroc([30.0, 31.0, 40.0, 30.0], [False, False, True, True])
        0.625
    """
    return _area("roc_auc_score", scores, labels)


def object_ap(scores: ArrayLike, labels: ArrayLike) -> float:
    """Average precision over scans: the precision at each threshold, weighted by the recall it adds.

    Arguments, return value and errors as in `object_auroc`.

    Example:
        >>> round(object_ap([4.0, 3.0, 2.0, 1.0], [True, False, True, False]), 4)
        0.8333
    """
    return _area("average_precision_score", scores, labels)


def f1_max(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """The best F1 over all thresholds, and the threshold that reaches it.

    The threshold is picked with the labels in hand: use it to describe a test set, never to set an inspection up.

    Args:
        scores: (N,), any range.
        labels: (N,) bool or 0 and 1.

    Returns:
        (F1 in [0, 1], the score at and above which an entry counts as anomalous), both NaN when only one label occurs.
        Among equally good thresholds, the lowest.

    Example:
        >>> f1_max([1.0, 5.0, 7.0, 9.0], [False, True, False, True])
        (0.8, 5.0)
    """
    values, truth = _checked(scores, labels)
    if why_undefined(truth):
        return float("nan"), float("nan")
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(truth, values)
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)[:-1]
    best = int(np.argmax(f1))
    return float(f1[best]), float(thresholds[best])


def _averaged(
    area: Any, scores: Sequence[NDArray[Any]], labels: Sequence[NDArray[np.bool_]], average: Average
) -> float:
    if len(scores) != len(labels):
        raise ValueError(
            f"one label array per cloud is needed, got {len(scores)} clouds and {len(labels)} label arrays"
        )
    if average == "pooled":
        if not scores:
            return float("nan")
        return float(area(np.concatenate(list(scores)), np.concatenate(list(labels))))
    if average != "clouds":
        raise ValueError(f"average must be 'pooled' or 'clouds', got {average!r}")
    each = [area(one, truth) for one, truth in zip(scores, labels, strict=True)]
    defined = [value for value in each if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def point_auroc(
    scores: Sequence[NDArray[Any]], labels: Sequence[NDArray[np.bool_]], *, average: Average = "pooled"
) -> float:
    """P-AUROC of the clouds of one class. Papers differ in the average: always print which one it is.

    Args:
        scores: one array (N_i,) per cloud.
        labels: one array (N_i,) per cloud, True on a defect.
        average: `pooled` ranks all points of all clouds together; `clouds` takes the mean over the clouds that hold
            both labels, which are the anomalous ones.

    Returns:
        The area in [0, 1], or NaN when the labels define none.

    Raises:
        ValueError: a score is NaN or infinite, or shapes do not match.
    """
    return _averaged(object_auroc, scores, labels, average)


def point_ap(
    scores: Sequence[NDArray[Any]], labels: Sequence[NDArray[np.bool_]], *, average: Average = "pooled"
) -> float:
    """P-AP of the clouds of one class; arguments, return value and errors as in `point_auroc`."""
    return _averaged(object_ap, scores, labels, average)


def aupro(
    scores: Sequence[NDArray[Any]],
    labels: Sequence[NDArray[np.bool_]],
    regions: Sequence[NDArray[np.intp]],
    *,
    limit: float = 0.3,
) -> float:
    """Area under the per-region-overlap curve: every defect region counts the same, however few points it has.

    At each threshold the overlap is the share of a region's points at or above it, averaged over the regions of all
    clouds; the false-positive rate is taken over the normal points of all clouds.

    Args:
        scores: one array (N_i,) per cloud.
        labels: one array (N_i,) per cloud, True on a defect.
        regions: one array (N_i,) per cloud, the number of the region that a defect point belongs to (numbers are
            local to the cloud; values on normal points are ignored). See `dusnet.inspection.regions.components`.
        limit: false-positive rate where the integration stops, in (0, 1].

    Returns:
        The area divided by `limit`, in [0, 1], or NaN when only one label occurs.
    """
    if not scores:
        return float("nan")
    values, truth = _checked(np.concatenate(list(scores)), np.concatenate(list(labels)))
    if why_undefined(truth):
        return float("nan")
    from sklearn.metrics import auc, roc_curve

    weights = []
    for mask, numbers in zip(labels, regions, strict=True):
        weight = np.ones(len(mask))
        inside = np.asarray(mask, dtype=bool)
        _, back, sizes = np.unique(numbers[inside], return_inverse=True, return_counts=True)
        weight[inside] = 1.0 / sizes[back]
        weights.append(weight)
    false_rate, overlap, _ = roc_curve(truth, values, sample_weight=np.concatenate(weights), drop_intermediate=False)
    stop = int(np.searchsorted(false_rate, limit, side="right"))
    x = np.append(false_rate[:stop], limit)
    y = np.append(overlap[:stop], np.interp(limit, false_rate, overlap))
    return float(auc(x, y) / limit)


@dataclass(frozen=True)
class ClassMetrics:
    """What one class measured.

    Attributes:
        values: metric name (see `CONVENTIONS`) -> value, NaN when undefined.
        reasons: metric name -> why its value is NaN; defined metrics have no entry.
    """

    values: dict[str, float]
    reasons: dict[str, str]


def measure(
    object_scores: Sequence[float],
    object_labels: Sequence[bool],
    point_scores: Sequence[NDArray[Any]],
    point_labels: Sequence[NDArray[np.bool_]] | None,
    regions: Sequence[NDArray[np.intp]] | None = None,
) -> ClassMetrics:
    """All metrics of one class.

    Args:
        object_scores: one per test scan.
        object_labels: True for an anomalous scan.
        point_scores: (N_i,) per scan.
        point_labels: (N_i,) bool per scan, or None when the dataset has no labels for points.
        regions: (N_i,) region numbers per scan for `aupro`, or None to leave it undefined.

    Returns:
        Every metric of `CONVENTIONS`, with a reason for each one that is NaN.
    """
    values = {
        "o_auroc": object_auroc(object_scores, object_labels),
        "o_ap": object_ap(object_scores, object_labels),
        "o_f1_max": f1_max(object_scores, object_labels)[0],
    }
    point_reason: str | None = "the anomalous scans have no labels for points"
    if point_labels is not None and point_scores:
        pooled = np.concatenate(list(point_scores)), np.concatenate(list(point_labels))
        point_reason = why_undefined(pooled[1], "point")
        values["p_auroc_pooled"], values["p_ap_pooled"] = object_auroc(*pooled), object_ap(*pooled)
        values["p_f1_max_pooled"] = f1_max(*pooled)[0]
        values["p_auroc_clouds"] = point_auroc(point_scores, point_labels, average="clouds")
        values["p_ap_clouds"] = point_ap(point_scores, point_labels, average="clouds")
        if regions is not None:
            values["p_aupro"] = aupro(point_scores, point_labels, regions)
    object_reason = why_undefined(object_labels, "scan")
    complete = {name: values.get(name, float("nan")) for name in METRICS}
    reasons: dict[str, str] = {}
    for name in (name for name, value in complete.items() if np.isnan(value)):
        lacking = "no region numbers given" if name == "p_aupro" else "no scan holds both normal and defect points"
        reasons[name] = (object_reason if name.startswith("o_") else point_reason) or lacking
    return ClassMetrics(complete, reasons)
