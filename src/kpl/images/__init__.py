"""What a picture is: finding files and folders, decoding them to 8-bit RGB arrays."""

from kpl.images.decoding import MAX_FILE_BYTES, MAX_PIXELS, decode, read_picture_bytes, read_record
from kpl.images.finding import Found, find_pictures
from kpl.images.memory import Pictures, find_given, picture_bytes, pixels_of
from kpl.images.pooling import decode_many, default_workers, ordered_map
from kpl.images.records import PictureRecord, SetAside

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "Found",
    "PictureRecord",
    "Pictures",
    "SetAside",
    "decode",
    "decode_many",
    "default_workers",
    "find_given",
    "find_pictures",
    "ordered_map",
    "picture_bytes",
    "pixels_of",
    "read_picture_bytes",
    "read_record",
]
