import Foundation

/// The `quantize` command: a recipe's model as an NF4 checkpoint.
public enum QuantizationRun {
    /// What was read and written.
    public struct Report: Sendable, CustomStringConvertible {
        public var output: String
        public var double: Bool
        public var rounding: QuantizationRecipe.Rounding
        public var parameters: Int
        public var quantizedParameters: Int
        /// Of all tensors.
        public var bytesBefore: Int
        public var bytesAfter: Int
        public var seconds: Double

        /// Source bytes read a second, in units of 10^9.
        public var gigabytesPerSecond: Double { seconds > 0 ? Double(bytesBefore) / seconds / 1e9 : 0 }

        public var json: JSONValue {
            [
                "type": "nf4", "double": .bool(double), "absmax_rounding": .string(rounding.rawValue), "parameters": .integer(parameters),
                "quantized_parameters": .integer(quantizedParameters), "bytes_before": .integer(bytesBefore), "bytes_after": .integer(bytesAfter),
                "seconds": .double(seconds), "gb_per_second": .double(gigabytesPerSecond), "output": .string(output),
            ]
        }

        public var description: String {
            "\(output): \(Formatting.bytes(bytesAfter)) of \(Formatting.bytes(bytesBefore)) "
                + "(\(Formatting.fixed(Double(bytesBefore) / Double(max(bytesAfter, 1)), decimals: 2))x less), "
                + "\(Formatting.grouped(quantizedParameters)) of \(Formatting.grouped(parameters)) parameters in 4 bit, "
                + "\(Formatting.seconds(seconds)), \(Formatting.fixed(gigabytesPerSecond, decimals: 2)) GB/s"
        }
    }

    /// - Throws: errors of the recipe, the model and the files.
    public static func run(_ recipe: Recipe, output: String) throws -> Report {
        guard recipe.quantization.type == .nf4 else {
            throw RecipeError.outOfRange(
                key: "quantization.type", expected: "nf4 for the quantize command", found: recipe.quantization.type.rawValue, place: "recipe")
        }
        let model = try ModelReference.open(try recipe.requiredModel(), syntheticSeed: recipe.syntheticSeed)
        let pool = try ThreadPool(threadCount: recipe.parallel.threads.given ?? Machine.availableProcessorCount)
        var progress = ByteProgress(verb: "quantized")
        let start = ContinuousClock.now
        let summary = try Quantizer(recipe.quantization).quantize(model, to: output, pool: pool) { done, total in
            if let text = progress.update(done: done, total: total, elapsed: start.duration(to: .now)) {
                FileHandle.standardError.write(Data(text.utf8))
            }
        }
        let elapsed = start.duration(to: .now).components
        return Report(
            output: output, double: recipe.quantization.double, rounding: recipe.quantization.absmaxRounding, parameters: model.config.parameterCount,
            quantizedParameters: summary.quantizedParameterCount, bytesBefore: summary.sourceByteCount, bytesAfter: summary.byteCount,
            seconds: Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18)
    }
}
