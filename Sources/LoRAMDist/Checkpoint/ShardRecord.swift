import LoRAMEngine

/// What a rank tells the coordinator about a shard that it wrote, and what the manifest says about it.
public struct ShardRecord: Codable, Sendable, Equatable {
    /// Name within the state's directory.
    public var file: String
    public var byteCount: Int
    /// Of the whole file, hexadecimal.
    public var sha256: String
    /// Names of the tensors in it, for the coordinator's check that none is saved twice; not in the manifest, as the file's header has them.
    public var tensorNames: [String]

    public init(file: String, byteCount: Int, sha256: String, tensorNames: [String]) {
        self.file = file
        self.byteCount = byteCount
        self.sha256 = sha256
        self.tensorNames = tensorNames
    }

    /// `state-00003.safetensors`
    public static func fileName(shard index: Int) -> String {
        let digits = String(index)
        return "state-\(String(repeating: "0", count: max(0, 5 - digits.count)))\(digits).safetensors"
    }
}

/// Names under which a parameter's training state is saved. They know nothing of ranks, so that any grid can read them.
public enum StateName {
    /// The trained values themselves: a LoRA factor, or alignment's f32 master of a weight.
    public static func value(of parameter: String) -> String { parameter }
    /// AdamW's running mean of gradients.
    public static func firstMoment(of parameter: String) -> String { "\(parameter).adam_first_moment" }
    /// AdamW's running mean of squared gradients.
    public static func secondMoment(of parameter: String) -> String { "\(parameter).adam_second_moment" }
}

/// f32 values of one tensor in memory, to be saved.
public struct StateTensor {
    public var name: String
    public var shape: [Int]
    /// Row-major; must hold the product of `shape`.
    public var values: UnsafePointer<Float>

    public init(name: String, shape: [Int], values: UnsafePointer<Float>) {
        self.name = name
        self.shape = shape
        self.values = values
    }
}
