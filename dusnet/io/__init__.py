"""Reading and writing clouds and meshes; the only package that knows file formats."""

from __future__ import annotations

from dusnet.io.clouds import (
    CLOUD_SUFFIXES,
    find_clouds,
    natural_key,
    read_cloud,
    read_mesh,
    read_scalars,
    write_cloud,
)
from dusnet.io.files import atomic_path, file_mark, file_sha256, printable, remove_file, write_json, write_text
from dusnet.io.mesh import Mesh, sample_mesh
from dusnet.io.motions import read_motion, rigid_motion
from dusnet.io.strict_json import parse_json
from dusnet.io.text import read_labelled_points

__all__ = [
    "CLOUD_SUFFIXES",
    "Mesh",
    "atomic_path",
    "file_mark",
    "file_sha256",
    "find_clouds",
    "natural_key",
    "parse_json",
    "printable",
    "read_cloud",
    "read_labelled_points",
    "read_mesh",
    "read_motion",
    "read_scalars",
    "remove_file",
    "rigid_motion",
    "sample_mesh",
    "write_cloud",
    "write_json",
    "write_text",
]
