"""What a picture is: finding files and folders, decoding them to 8-bit RGB arrays."""

from kpl.images.decoding import MAX_FILE_BYTES, MAX_PIXELS, decode, read_picture_bytes
from kpl.images.finding import Found, find_pictures
from kpl.images.pooling import decode_many, default_workers, ordered_map
from kpl.images.records import PictureRecord, SetAside

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "Found",
    "PictureRecord",
    "SetAside",
    "decode",
    "decode_many",
    "default_workers",
    "find_pictures",
    "ordered_map",
    "read_picture_bytes",
]
