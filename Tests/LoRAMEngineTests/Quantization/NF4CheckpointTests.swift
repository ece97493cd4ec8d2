import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Checkpoints as transformers saved them.
@Suite struct NF4CheckpointTests {
    static let up = "model.layers.0.mlp.up_proj.weight"

    @Test(arguments: ["double", "single"]) func readsWhatTransformersSaved(name: String) throws {
        let checkpoint = try Checkpoint(directory: NF4Fixture.path(name))
        try checkpoint.validate()
        #expect(checkpoint.quantization == QuantizationConfig(doubleQuantization: name == "double"))
        let plain = try Checkpoint(directory: NF4Fixture.path("source"))
        #expect(plain.quantization == nil)
        let decoded = try NF4Fixture.file("decoded.safetensors")
        var quantized = 0
        for (tensor, shape) in WeightLayout.names(checkpoint.config) {
            let values = try weightValues(checkpoint, tensor, shape)
            #expect(try weightValues(checkpoint, tensor, shape, rows: 3..<6) == Array(values[3 * (values.count / shape[0])..<6 * (values.count / shape[0])]))
            if let nf4 = try checkpoint.nf4(tensor) {
                quantized += 1
                #expect(nf4.shape == shape && nf4.dtype == .bf16 && nf4.isDoubleQuantized == (name == "double"))
                #expect(bits(values) == bits(try decoded.floats("\(name).\(tensor)")))
                try nf4.requireFiniteScales()
            } else {
                #expect(values == (try weightValues(plain, tensor, shape)))
            }
            #expect(try plain.nf4(tensor) == nil)
        }
        #expect(quantized == 14)
        let inspection = try Inspection(path: NF4Fixture.path(name))
        #expect(inspection.problem == nil && inspection.parameterCount == plain.config.parameterCount)
    }

    /// The plain bytes of a 4-bit weight do not exist.
    @Test func pruningIsRefused() throws {
        let directory = try TemporaryDirectory()
        let model = try ModelReference.open(NF4Fixture.path("double"))
        let plan = try RandomPruning.plan(config: model.config, ratio: 0.5, keepFirst: 0, keepLast: 0, seed: 1)
        let error = caught(CheckpointError.self) { try StructuredPruner.prune(model, plan: plan, to: directory.path("p")) }
        #expect(error?.description.contains("found NF4") == true && error?.exitCode == .badInput)
        #expect(try FilePath.names(inDirectory: directory.path).isEmpty)
    }

    @Test(arguments: [
        ("quant_method", "gptq"), ("quant_method", 1), ("bnb_4bit_quant_type", "fp4"), ("bnb_4bit_quant_type", .null), ("load_in_4bit", false),
        ("load_in_4bit", "yes"), ("bnb_4bit_use_double_quant", "no"),
    ] as [(String, JSONValue)]) func refusesOtherQuantizations(key: String, value: JSONValue) throws {
        let (directory, path) = try NF4Fixture.copy("double")
        defer { withExtendedLifetime(directory) {} }
        try NF4Fixture.editConfig(path) { $0["quantization_config"]?[key] = value }
        let error = caught(ConfigError.self) { _ = try Checkpoint(directory: path) }
        #expect(error?.exitCode == .badInput && error?.description.contains("quantization_config.\(key)") == true)
        // What can be seen of it can still be looked at.
        let inspection = try Inspection(path: path)
        #expect(inspection.problem == error?.description && !inspection.tensors.isEmpty)
    }

    /// Without the configuration the bytes are no weight of this model.
    @Test func codesNeedTheConfiguration() throws {
        let (directory, path) = try NF4Fixture.copy("double")
        defer { withExtendedLifetime(directory) {} }
        try NF4Fixture.editConfig(path) { $0["quantization_config"] = .some(.null) }
        #expect(throws: CheckpointError.self) { try Checkpoint(directory: path).validate() }
    }

    @Test(arguments: [".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"]) func refusesMissingAndShortParts(part: String) throws {
        for change in 0..<3 {
            let (directory, path) = try NF4Fixture.copy("double")
            defer { withExtendedLifetime(directory) {} }
            try NF4Fixture.edit(path, Self.up + part) { info, bytes in
                var (info, bytes) = (info, bytes)
                switch change {
                case 0: return nil
                case 1:
                    info.shape[0] -= 1
                    bytes.removeLast(info.dtype.byteCount)
                default:
                    info.dtype = .u8
                    info.shape = [bytes.count + 1]
                    bytes.append(0)
                }
                return (info, bytes)
            }
            let error = caught(QuantizationError.self) { try Checkpoint(directory: path).validate() }
            if change == 0 {
                #expect(error == .missingPart(path: "\(path)/model.safetensors", tensor: Self.up, part: Self.up + part))
            } else if case .wrongPart(_, Self.up + part, _, _)? = error {
            } else {
                Issue.record("\(part) \(change): \(String(describing: error))")
            }
        }
    }

    @Test func refusesForeignMapsAndCutCodes() throws {
        let (directory, path) = try NF4Fixture.copy("double")
        defer { withExtendedLifetime(directory) {} }
        try NF4Fixture.edit(path, Self.up + ".quant_map") { info, bytes in
            var bytes = bytes
            bytes[4 * 3] ^= 1
            return (info, bytes)
        }
        if case .foreignMap(_, _, 3, _, _)? = caught(QuantizationError.self, { _ = try Checkpoint(directory: path).nf4(Self.up) }) {
        } else {
            Issue.record("another value of the map")
        }
        let (second, cut) = try NF4Fixture.copy("double")
        defer { withExtendedLifetime(second) {} }
        try NF4Fixture.edit(cut, Self.up) { info, bytes in (TensorInfo(name: info.name, dtype: .u8, shape: [bytes.count - 1, 1]), bytes.dropLast()) }
        #expect(throws: QuantizationError.self) { _ = try Checkpoint(directory: cut).nf4(Self.up) }
    }

    /// `bnb_4bit_quant_storage: bfloat16` keeps the same bytes as elements of two.
    @Test func readsCodesInAWiderStorage() throws {
        let (directory, path) = try NF4Fixture.copy("single")
        defer { withExtendedLifetime(directory) {} }
        try NF4Fixture.edit(path, Self.up) { info, bytes in (TensorInfo(name: info.name, dtype: .bf16, shape: [bytes.count / 2, 1]), bytes) }
        let decoded = try NF4Fixture.file("decoded.safetensors")
        #expect(try Checkpoint(directory: path).nf4(Self.up)?.floats() == decoded.floats("single.\(Self.up)"))
    }

    @Test(arguments: [Float.nan, .infinity]) func refusesNonFiniteScales(value: Float) throws {
        for (name, part) in [("single", ".absmax"), ("double", ".nested_absmax"), ("double", ".nested_quant_map")] {
            let (directory, path) = try NF4Fixture.copy(name)
            defer { withExtendedLifetime(directory) {} }
            try NF4Fixture.edit(path, Self.up + part) { info, bytes in
                let word = withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
                return (info, (0..<bytes.count / 4).flatMap { _ in word })
            }
            let checkpoint = try Checkpoint(directory: path)
            let tensor = try #require(try checkpoint.nf4(Self.up))
            #expect(
                caught(QuantizationError.self) { try tensor.requireFiniteScales() }
                    == .nonFiniteScale(path: "\(path)/model.safetensors", tensor: Self.up, block: 0))
            #expect(throws: CheckpointError.self) { _ = try weightValues(checkpoint, Self.up, tensor.shape) }
        }
    }

    /// The pointers hold the file by themselves.
    @Test func outlivesItsCheckpoint() throws {
        func open() throws -> NF4Tensor { try #require(try Checkpoint(directory: NF4Fixture.path("double")).nf4(Self.up)) }
        let tensor = try open()
        #expect(tensor.floats() == (try NF4Fixture.file("decoded.safetensors").floats("double.\(Self.up)")))
    }
}
