"""What a picture is: finding files and folders, units and their instances, decoding every kind to 8-bit RGB arrays."""

from kpl.images.cohorts import find_inputs
from kpl.images.decoding import MAX_FILE_BYTES, MAX_PIXELS, decode, read_picture_bytes
from kpl.images.finding import DRAWING, find_pictures, is_named, reader_of
from kpl.images.looks import look_of, near_looks
from kpl.images.memory import Pictures, find_given, picture_bytes, pixels_of
from kpl.images.pooling import decode_many, default_workers, ordered_map
from kpl.images.readers import Reader, fingerprint, load_instance, readers
from kpl.images.records import BURNED_IN, Asked, Found, Instance, Planned, Reading, SetAside, Unit
from kpl.images.tars import members_at
from kpl.images.walking import has_files, search_pieces
from kpl.images.windows import read_window

__all__ = [
    "BURNED_IN",
    "DRAWING",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "Asked",
    "Found",
    "Instance",
    "Pictures",
    "Planned",
    "Reader",
    "Reading",
    "SetAside",
    "Unit",
    "decode",
    "decode_many",
    "default_workers",
    "find_given",
    "find_inputs",
    "find_pictures",
    "fingerprint",
    "has_files",
    "is_named",
    "load_instance",
    "look_of",
    "members_at",
    "near_looks",
    "ordered_map",
    "picture_bytes",
    "pixels_of",
    "read_picture_bytes",
    "read_window",
    "reader_of",
    "readers",
    "search_pieces",
]
