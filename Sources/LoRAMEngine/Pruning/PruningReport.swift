/// What a pruning removed, read and wrote.
public struct PruningReport: Sendable, CustomStringConvertible {
    public var method: String
    public var ratio: Double
    public var originalParameters: Int
    /// Of a non-structurally pruned model those that are not masked.
    public var prunedParameters: Int
    public var output: String
    /// Of the model's weights, on all ranks and in all passes.
    public var readByteCount: Int
    /// Of the finished checkpoint, masks among them.
    public var writtenByteCount: Int

    public init(method: String, ratio: Double, originalParameters: Int, prunedParameters: Int, output: String, readByteCount: Int) throws {
        self.method = method
        self.ratio = ratio
        self.originalParameters = originalParameters
        self.prunedParameters = prunedParameters
        self.output = output
        self.readByteCount = readByteCount
        writtenByteCount = try FilePath.names(inDirectory: output).reduce(0) { $0 + (FileSystem.fileSize("\(output)/\($1)") ?? 0) }
    }

    public var reduction: Double { Double(originalParameters) / Double(prunedParameters) }

    public var json: JSONValue {
        [
            "method": .string(method), "ratio": .double(ratio), "original_parameters": .integer(originalParameters),
            "pruned_parameters": .integer(prunedParameters), "reduction": .double(reduction), "output": .string(output),
            "bytes_read": .integer(readByteCount), "bytes_written": .integer(writtenByteCount),
        ]
    }

    public var description: String {
        "\(output): \(Formatting.grouped(prunedParameters)) of \(Formatting.grouped(originalParameters)) parameters "
            + "(\(Formatting.fixed(reduction, decimals: 2))x less); read \(Formatting.grouped(readByteCount)) bytes, wrote \(Formatting.grouped(writtenByteCount))"
    }
}
