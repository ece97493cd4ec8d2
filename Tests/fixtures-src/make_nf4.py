"""NF4 fixtures from bitsandbytes on CPU, written to Tests/LoRAMEngineTests/Fixtures/nf4 (manifest.json, data.bin).

Made with bitsandbytes 0.50.2, torch 2.15.0 and numpy 2.4.6 (Python 3.11). usage: make_nf4.py

Quantization cases hold the input's bytes and bitsandbytes' codes, scales and decoded values in f32, bf16 and f16. Values are decoded by
bitsandbytes' generic implementation: its AVX-512 code takes wrong scales where the width is a multiple of 16 but not of 64, and turns
denormal bf16 results into zero. Elsewhere the two are asserted to agree. Cases of double
quantization hold scales, their mean, and the codes of both rules: bitsandbytes' own (its CPU code bins the values) and the nearest entry.
Means are of values from a generator that the tests repeat, for several numbers of torch threads.
"""

import json
import math
import pathlib

import bitsandbytes
import bitsandbytes.functional as bnb
import numpy as np
import torch
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute

torch.compiler.set_stance("force_eager")  # bitsandbytes compiles its generic decoder, once per shape
VERSIONS = {"bitsandbytes": "0.50.2", "torch": "2.15.0", "numpy": "2.4.6"}
FOUND = {"bitsandbytes": bitsandbytes.__version__, "torch": torch.__version__.split("+")[0], "numpy": np.__version__}
assert FOUND == VERSIONS, f"expected {VERSIONS}, found {FOUND}"

torch.manual_seed(20)
torch.set_num_threads(1)
blob = bytearray()


def put(array):
    """Appends an array's bytes to data.bin and says where they are."""
    raw = np.ascontiguousarray(array).tobytes()
    place = {"offset": len(blob), "bytes": len(raw)}
    blob.extend(raw)
    return place


def raw_bits(tensor):
    return tensor.contiguous().view(torch.uint8).numpy() if tensor.dtype == torch.bfloat16 else tensor.contiguous().numpy()


def codes_of_nf4():
    return bnb.get_4bit_type("nf4", device="cpu")


def decode(codes, state, absmax, dtype):
    """Decoded values in dtype, from f32 scales."""
    generic = _dequantize_4bit_compute(codes.reshape(-1), absmax, codes_of_nf4(), 64, state.shape, dtype)
    state.dtype = dtype
    fast = bnb.dequantize_4bit(codes, state)
    width = state.shape[-1]
    if (width % 16 or width % 64 == 0) and absmax.min() > 1e-30:
        assert torch.equal(generic, fast), (state.shape, dtype)
    return generic


def inputs():
    """(name, tensor) pairs; every block length, sign and magnitude that is special."""
    code = codes_of_nf4()
    middle = ((code[:-1] + code[1:]) / 2).tolist()
    yield "random-f32-odd", torch.randn(37, 131)
    yield "random-bf16", torch.randn(48, 100).to(torch.bfloat16)
    yield "random-f16-odd", torch.randn(33, 65).to(torch.float16)
    yield "zero-and-constant-blocks", torch.cat([torch.zeros(64), torch.full((64,), 0.3), torch.full((64,), -0.3), -torch.zeros(64), torch.eye(64)[5], -torch.eye(64)[63]]).reshape(6, 64)
    around = [np.nextafter(np.float32(m), np.float32(d)) for m in middle for d in (-2, 2)]
    ties = torch.tensor([1.0] + middle + [float(v) for v in around] + [-1.0] * 18)
    yield "ties", ties.reshape(1, 64)
    yield "ties-negative-scale", (ties * -0.37).reshape(1, 64)
    yield "denormals-f32", torch.cat([torch.linspace(-1, 1, 64) * 1e-39, torch.linspace(-1, 1, 64) * 1e-43, torch.linspace(0, 1, 64) * 1.17549435e-38]).reshape(2, 96)
    yield "denormals-bf16", (torch.linspace(-1, 1, 128) * 3e-39).to(torch.bfloat16).reshape(1, 128)
    yield "denormals-f16", (torch.linspace(-1, 1, 128) * 3e-6).to(torch.float16).reshape(1, 128)
    yield "huge-f32", (torch.linspace(-1, 1, 128) * 3.4e38).reshape(2, 64)
    yield "huge-f16", (torch.linspace(-1, 1, 128) * 65504).to(torch.float16).reshape(2, 64)
    yield "huge-bf16", (torch.linspace(-1, 1, 128) * 3.3e38).to(torch.bfloat16).reshape(2, 64)
    yield "tail-1", torch.randn(1, 193)
    yield "tail-2", torch.randn(1, 194)
    yield "tail-zero", torch.cat([torch.randn(64), torch.zeros(30)]).reshape(1, 94)
    yield "tail-ties", torch.cat([torch.randn(64), torch.tensor([0.7] + [m * 0.7 for m in middle] + [0.0, 0.0])]).reshape(1, 82)
    yield "tail-only", torch.randn(3, 5)


def quantization_cases():
    for name, tensor in inputs():
        codes, state = bnb.quantize_4bit(tensor, quant_type="nf4", compress_statistics=False)
        case = {"name": name, "dtype": str(tensor.dtype).removeprefix("torch."), "count": tensor.numel(), "input": put(raw_bits(tensor)), "codes": put(codes.numpy()), "absmax": put(state.absmax.numpy())}
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            case[str(dtype).removeprefix("torch.")] = put(raw_bits(decode(codes, state, state.absmax, dtype)))
        yield case


def nested_cases():
    """Codes and double-quantized scales of one tensor, and its values decoded to bf16."""
    for shape, dtype in (((70, 260), torch.float32), ((5, 77), torch.bfloat16)):
        tensor = torch.randn(shape).to(dtype)
        codes, state = bnb.quantize_4bit(tensor, quant_type="nf4", compress_statistics=True)
        plain = bnb.quantize_4bit(tensor, quant_type="nf4", compress_statistics=False)[1]
        case = {"count": tensor.numel(), "codes": put(codes.numpy()), "scales": put(plain.absmax.numpy()), "offset": put(state.offset.reshape(1).numpy()), "absmax": put(state.absmax.numpy()), "nested_absmax": put(state.state2.absmax.numpy())}
        absmax = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
        case["bfloat16"] = put(raw_bits(decode(codes, state, absmax, torch.bfloat16)))
        yield case


def nearest_codes(values, table):
    """Index of the nearest table entry in exact arithmetic; half-way, the lower one."""
    table = table.astype(np.float64)
    middles = (table[1:] + table[:-1]) / 2
    return np.searchsorted(middles, values.astype(np.float64), side="left").astype(np.uint8)


def scale_cases():
    table = bnb.create_dynamic_map().numpy()
    sets = {
        "random": torch.rand(1000) * 0.2 + 0.9,
        "one": torch.tensor([0.25]),
        "equal": torch.full((300,), 0.125),
        "spread": torch.exp(torch.randn(700) * 3),
        "tiny": torch.rand(257) * 1e-40,
    }
    for name, scales in sets.items():
        offset = scales.mean()
        shifted = scales - offset
        codes, state = bnb.quantize_blockwise(shifted, blocksize=256)
        largest = state.absmax.numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            normal = (shifted.numpy() * np.repeat(np.float32(1) / largest, 256)[: len(scales)]).astype(np.float32)
        exact = np.where(np.repeat(largest, 256)[: len(scales)] == 0, 0, nearest_codes(np.nan_to_num(normal, nan=-2, posinf=2, neginf=-2), table)).astype(np.uint8)
        yield {"name": name, "count": len(scales), "scales": put(scales.numpy()), "offset": put(offset.reshape(1).numpy()), "binned": put(codes.numpy()), "nearest": put(exact), "nested_absmax": put(largest)}


def bin_case():
    """Every boundary of the 65536 bins whose code differs from the next bin's."""
    values = (np.arange(65537, dtype=np.float64) - 0.5) / 65535 * 2 - 1
    values = values[(values > -1) & (values < 1)].astype(np.float32)
    near = np.unique(np.concatenate([np.nextafter(values, np.float32(-2)), values, np.nextafter(values, np.float32(2))]))
    blocks = -(-len(near) // 255)
    padded = np.zeros(blocks * 255, np.float32)
    padded[: len(near)] = near
    whole = np.concatenate([np.ones((blocks, 1), np.float32), padded.reshape(blocks, 255)], axis=1).reshape(-1)
    codes = bnb.quantize_blockwise(torch.from_numpy(whole), blocksize=256)[0].numpy().reshape(blocks, 256)[:, 1:].reshape(-1)[: len(near)]
    change = np.flatnonzero(np.diff(codes.astype(int)))
    keep = np.unique(np.concatenate([change, change + 1]))
    return {"count": len(keep), "values": put(near[keep]), "codes": put(codes[keep])}


def generated(count):
    """The tests' generator: 64-bit linear congruential, the upper 24 bits as a fraction, plus 0.5."""
    state, out = 1, np.empty(count, np.float32)
    for i in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out[i] = np.float32((state >> 40) / 2**24) + np.float32(0.5)
    return out


def mean_cases():
    values = generated(140000)
    for threads in (1, 2, 3, 8):
        torch.set_num_threads(threads)
        for count in (1, 3, 7, 8, 31, 33, 100, 1023, 4097, 20157, 32767, 32768, 32769, 65537, 100001, 140000):
            yield {"threads": threads, "count": count, "mean": put(torch.from_numpy(values[:count]).mean().reshape(1).numpy())}
    torch.set_num_threads(1)


target = pathlib.Path(__file__).resolve().parent.parent / "LoRAMEngineTests" / "Fixtures" / "nf4"
target.mkdir(parents=True, exist_ok=True)
manifest = {
    "versions": VERSIONS,
    "quantization": list(quantization_cases()),
    "nested": list(nested_cases()),
    "scales": list(scale_cases()),
    "bins": bin_case(),
    "means": list(mean_cases()),
    "map": put(bnb.create_dynamic_map().numpy()),
}
(target / "data.bin").write_bytes(bytes(blob))
(target / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
print(len(blob), "bytes,", math.ceil((target / "manifest.json").stat().st_size / 1024), "KiB of manifest")
