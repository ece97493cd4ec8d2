import LoRAMEngine
import TestSupport
import Testing

/// The JSON of the quantization state, from files of others.
@Suite struct NF4StateTests {
    static let up = NF4CheckpointTests.up
    static let good =
        #"{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [37, 20], "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.1}"#

    /// Opens the fixture's up_proj with another state.
    private func open(_ state: [UInt8]) throws -> NF4Tensor? {
        let (directory, path) = try NF4Fixture.copy("double")
        defer { withExtendedLifetime(directory) {} }
        try NF4Fixture.edit(path, "\(Self.up).quant_state.bitsandbytes__nf4") { info, _ in
            (TensorInfo(name: info.name, dtype: .u8, shape: [state.count]), state)
        }
        return try Checkpoint(directory: path).nf4(Self.up, shape: [37, 20])
    }

    @Test func anyOrderOfKeys() throws {
        let text = #" {"nested_offset":1e-1,"shape":[37,20],"nested_dtype":"float32","dtype":"float16","nested_blocksize":256,"blocksize":64,"quant_type":"nf4"} "#
        let tensor = try #require(try open(Array(text.utf8)))
        #expect(tensor.scales.nestedOffset == 0.1 && tensor.dtype == .f16 && tensor.shape == [37, 20])
    }

    @Test(arguments: [
        ("\"nf4\"", "\"fp4\""), ("\"nf4\"", "4"), (": 64", ": 128"), (": 64", ": 64.5"), (": 64", ": \"64\""), ("bfloat16", "int8"),
        ("\"bfloat16\"", "null"), ("[37, 20]", "[37, 21]"), ("[37, 20]", "[20, 37]"), ("[37, 20]", "[740]"), ("[37, 20]", "[]"), ("[37, 20]", "null"),
        ("[37, 20]", "[-37, -20]"), ("[37, 20]", "[37, 0]"), ("[37, 20]", "[9223372036854775807, 9223372036854775807]"), ("[37, 20]", "[37.5, 20]"),
        ("[37, 20]", "[[37], 20]"), ("[37, 20]", "{}"), ("256", "64"), ("float32", "float16"), ("0.1}", "\"x\"}"), ("0.1}", "1e999}"),
        ("0.1}", "1e300}"), ("0.1}", "NaN}"), ("0.1}", "null}"), ("\"nested_offset\": 0.1", "\"offset\": 0.1"), (", \"nested_offset\": 0.1", ""),
        ("}", ""), ("{", "[{"), ("\"blocksize\": 64, ", ""), ("\"blocksize\": 64, ", "\"blocksize\": 64, \"blocksize\": 64, "),
        ("\"blocksize\": 64, ", "\"blocksize\": 64, \"more\": 1, "),
    ]) func refuses(part: String, replacement: String) throws {
        #expect(Self.good.contains(part))
        let text = Self.good.replacing(part, with: replacement)
        do {
            _ = try open(Array(text.utf8))
            Issue.record("accepted \(text)")
        } catch let error as any DiagnosedError {
            #expect(error.exitCode == .badInput && !error.description.contains("\n"))
            #expect(error.description.contains("up_proj"))
        }
    }

    @Test func refusesEmptyAndEndlessStates() throws {
        for state in [[UInt8](), [0xff, 0xfe], Array(repeating: UInt8(ascii: "["), count: 1 << 13), Array(repeating: UInt8(ascii: " "), count: 1 << 20)] {
            #expect(throws: QuantizationError.self) { try open(state) }
        }
    }

    /// Whatever stands there: an error of ours or a state that holds.
    @Test func survivesMutations() throws {
        var random = LinearCongruentialGenerator(seed: 5)
        var refused = 0
        for _ in 0..<150 {
            let state = mutated(Array(Self.good.utf8), with: &random)
            do {
                if let tensor = try open(state) { #expect(tensor.shape == [37, 20] && tensor.floats().count == 740) }
            } catch is any DiagnosedError {
                refused += 1
            }
        }
        #expect(refused > 50)
    }
}
