"""The science: retrieval, transport, the published loop, its closed form, and KPL's own class models.

Arrays in, arrays out. What is learnt from images is always a sum over images (`sums`), so that it streams and merges.
"""

from kpl.proxies.anchored import AnchoredSettings, learn_anchored
from kpl.proxies.multi_label import multi_label_probabilities
from kpl.proxies.official import official_proxies
from kpl.proxies.retrieval import TextProxies, image_scores, retrieve
from kpl.proxies.ridge import LinearScores, closed_proxies, ridge_discriminant
from kpl.proxies.sums import ClassSums, ImageMoments, ImageSums, sum_images
from kpl.proxies.transport import TransportPlan, sinkhorn

__all__ = [
    "AnchoredSettings",
    "ClassSums",
    "ImageMoments",
    "ImageSums",
    "LinearScores",
    "TextProxies",
    "TransportPlan",
    "closed_proxies",
    "image_scores",
    "learn_anchored",
    "multi_label_probabilities",
    "official_proxies",
    "retrieve",
    "ridge_discriminant",
    "sinkhorn",
    "sum_images",
]
