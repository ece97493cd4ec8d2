#!/usr/bin/env python3
"""Reads the compressed checkpoints of loram-mpi (Sources/LoRAMEngine/Compression/FORMAT.md) with numpy and zstandard alone.

    read_packed.py DIR OUT            plain safetensors files, as `loram-mpi unpack` writes them
    read_packed.py DIR --tensor NAME  one tensor's raw bytes on standard output
    read_packed.py DIR --check        decodes everything and compares SHA-256

In a program: `PackedCheckpoint(DIR).tensor(NAME)` gives a numpy array (BF16 as uint16).
"""
import argparse
import hashlib
import json
import pathlib
import shutil
import sys

import numpy
import zstandard

ROTATED = {"F16", "BF16", "F32", "F64"}
WIDTH = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
         "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8}
NUMPY = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "BF16": "<u2", "U32": "<u4", "I32": "<i4",
         "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8"}


def join_planes(planes, width, rotated):
    """Element i from byte i of each plane, the lowest byte first; floats rotated back to the right by one bit."""
    if width == 1:
        return planes[0]
    elements = numpy.stack([numpy.frombuffer(plane, "u1") for plane in planes], axis=1).reshape(-1).view(f"<u{width}")
    if rotated:
        one = elements.dtype.type(1)
        elements = (elements >> one) | (elements << elements.dtype.type(8 * width - 1))
    return elements.tobytes()


class PackedCheckpoint:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.index = json.loads((self.directory / "checkpoint.json").read_bytes())
        if self.index["format"] != "loram-checkpoint" or self.index["format_version"] != 1:
            sys.exit(f"{directory}: expected a loram-checkpoint of version 1")
        if self.index["codec"] not in ("planes", "zstd"):
            sys.exit(f"{directory}: codec {self.index['codec']} has no weights of its own: unpack it with loram-mpi")
        self.decompressor = zstandard.ZstdDecompressor()

    def sections(self, file):
        """(section, offset in the stored file), the header first, then the tensors in the order of their data."""
        offset = 0
        for section in file["sections"]:
            yield section, offset
            offset += sum(section["stored"])

    def decode(self, file, section, offset):
        """The plain bytes of a section, frame by frame."""
        dtype = section.get("dtype", "U8")
        planes = WIDTH[dtype] if self.index["codec"] == "planes" else 1
        with open(self.directory / file["stored_name"], "rb") as stored:
            stored.seek(offset)
            left = section["bytes"]
            for first in range(0, len(section["stored"]), planes):
                plain = min(left, self.index["frame_bytes"])
                parts = []
                for size in section["stored"][first:first + planes]:
                    part = self.decompressor.decompress(stored.read(size), max_output_size=plain // planes)
                    if len(part) != plain // planes:
                        sys.exit(f"{stored.name}: a frame of {section.get('tensor')} has {len(part)} bytes, expected {plain // planes}")
                    parts.append(part)
                left -= plain
                yield join_planes(parts, planes, planes > 1 and dtype in ROTATED)

    def plain(self, file):
        for section, offset in self.sections(file):
            yield from self.decode(file, section, offset)

    def tensor_bytes(self, name):
        for file in self.index["files"]:
            for section, offset in self.sections(file):
                if section["tensor"] == name:
                    return section, b"".join(self.decode(file, section, offset))
        sys.exit(f"{self.directory}: no tensor {name}")

    def tensor(self, name):
        section, data = self.tensor_bytes(name)
        return numpy.frombuffer(data, NUMPY[section["dtype"]]).reshape(section["shape"])

    def write(self, output):
        """Writes or, without an output, only checks all files."""
        for file in self.index["files"]:
            digest, sink = hashlib.sha256(), open(output / file["name"], "wb") if output else None
            for part in self.plain(file):
                digest.update(part)
                if sink:
                    sink.write(part)
            if sink:
                sink.close()
            if digest.hexdigest() != file.get("sha256", digest.hexdigest()):
                sys.exit(f"{self.directory / file['stored_name']}: wrong SHA-256")
        for companion in self.index["companions"] if output else []:
            shutil.copyfile(self.directory / companion["name"], output / companion["name"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("output", nargs="?", type=pathlib.Path)
    parser.add_argument("--tensor")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    checkpoint = PackedCheckpoint(arguments.directory)
    if arguments.tensor:
        sys.stdout.buffer.write(checkpoint.tensor_bytes(arguments.tensor)[1])
    elif arguments.check:
        checkpoint.write(None)
    elif arguments.output:
        arguments.output.mkdir(parents=True)
        checkpoint.write(arguments.output)
    else:
        parser.error("an output directory, --tensor or --check is needed")


if __name__ == "__main__":
    main()
