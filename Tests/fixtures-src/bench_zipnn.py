#!/usr/bin/env python3
"""ZipNN's size and speed on a file of raw bf16 values, one thread, in memory: to set beside `loram-mpi bench pack --file FILE --threads 1`.

    bench_zipnn.py FILE [--normal MIB]     --normal writes FILE first: normally distributed weights
"""
import argparse
import json
import time

import numpy
import torch
import zipnn


def best(function, rounds=5):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--normal", type=int)
    arguments = parser.parse_args()
    if arguments.normal:
        values = torch.randn(arguments.normal << 19, generator=torch.Generator().manual_seed(1)).mul_(0.02).bfloat16()
        values.view(torch.int16).numpy().tofile(arguments.file)
    data = numpy.fromfile(arguments.file, "u1").tobytes()
    packer = zipnn.ZipNN(bytearray_dtype="bfloat16", input_format="byte", threads=1)
    pack, packed = best(lambda: packer.compress(bytearray(data)))
    copy, _ = best(lambda: bytearray(data))
    unpack, plain = best(lambda: packer.decompress(packed))
    assert bytes(plain) == data
    print(json.dumps({
        "zipnn": zipnn.__version__ if hasattr(zipnn, "__version__") else "", "bytes": len(data), "stored_bytes": len(packed),
        "ratio": len(packed) / len(data),
        # compress() changes its input in place: the copy that it is given is not counted.
        "pack_gb_per_second": len(data) / (pack - copy) / 1e9, "unpack_gb_per_second": len(data) / unpack / 1e9}))


if __name__ == "__main__":
    main()
