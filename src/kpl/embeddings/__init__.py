"""Pictures and sentences become features: folders on disk that resume and verify, bundles that others published."""

from kpl.embeddings.bundle import FeatureBundle, is_bundle, open_bundle
from kpl.embeddings.embedding import (
    embed_in_place,
    embed_lots,
    embed_picture,
    embed_pictures,
    embed_to,
    embed_unit,
    hash_pictures,
)
from kpl.embeddings.encoding import embed_texts, encoder_identity
from kpl.embeddings.files import sha256_of_file
from kpl.embeddings.folder import FeatureFolder, is_feature_folder, is_unfinished_folder, open_features
from kpl.embeddings.lots import Listed, Lot, Lots
from kpl.embeddings.making import SHARD_SIZE, Making
from kpl.embeddings.manifest import Manifest, open_manifest
from kpl.embeddings.on_ray import embed_on_ray
from kpl.embeddings.parts import Part, PartDone, embed_part, join_parts
from kpl.embeddings.recorded import recorded_encoder
from kpl.embeddings.rows import CHUNK_ROWS, FeatureRows, unit_rows
from kpl.embeddings.stores import StoredFeatures
from kpl.embeddings.text_cache import TextCache

__all__ = [
    "CHUNK_ROWS",
    "SHARD_SIZE",
    "FeatureBundle",
    "FeatureFolder",
    "FeatureRows",
    "Listed",
    "Lot",
    "Lots",
    "Making",
    "Manifest",
    "Part",
    "PartDone",
    "StoredFeatures",
    "TextCache",
    "embed_in_place",
    "embed_lots",
    "embed_on_ray",
    "embed_part",
    "embed_picture",
    "embed_pictures",
    "embed_texts",
    "embed_to",
    "embed_unit",
    "encoder_identity",
    "hash_pictures",
    "is_bundle",
    "is_feature_folder",
    "is_unfinished_folder",
    "join_parts",
    "open_bundle",
    "open_features",
    "open_manifest",
    "recorded_encoder",
    "sha256_of_file",
    "unit_rows",
]
