extension Checkpoint {
    /// Whether a directory's config.json says that its weights are NF4; false also where it cannot be read.
    package static func isQuantized(_ directory: String) -> Bool {
        (try? QuantizationConfig(ConfigFields(file: "\(directory)/\(configName)"))) != nil
    }

    /// Whether a weight is stored in NF4: its quantization state lies beside it.
    func isNF4(_ name: String) -> Bool {
        quantization != nil && contains(name + NF4Tensor.Part.state.rawValue)
    }

    /// A quantized weight where it lies in the file; nil for one that is stored plainly. Any linear layer may be either, as the
    /// program that wrote the checkpoint chose.
    ///
    /// - Parameter shape: what the weight must have; nil: whatever its state says.
    /// - Throws: `QuantizationError`, `CheckpointError`, errors of opening the file.
    public func nf4(_ name: String, shape: [Int]? = nil) throws -> NF4Tensor? {
        guard isNF4(name) else { return nil }
        return try NF4Tensor(weight: try tensor(name), shape: shape) { try contains($0) ? tensor($0) : nil }
    }
}
