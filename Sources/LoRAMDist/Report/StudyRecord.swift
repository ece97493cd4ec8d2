import Foundation
import LoRAMEngine

/// Results of `cluster/study/run.sh`: study.jsonl, a row for every arm and seed.
public struct StudyRecord: Sendable {
    /// What an adapter was trained on, and used on.
    public enum Arm: String, CaseIterable, Sendable {
        /// The original model, without an adapter.
        case base
        /// Trained and used on the original.
        case lora
        /// Trained on a pruned model, used on the original: LoRAM.
        case recovered
        /// Trained and used on a pruned model.
        case unrecovered
        /// A pruned model without an adapter.
        case naive
    }

    public struct Key: Hashable, Sendable {
        public var method: String
        public var aligned: Bool
        public var arm: Arm

        public init(method: String, aligned: Bool, arm: Arm) {
            (self.method, self.aligned, self.arm) = (method, aligned, arm)
        }
    }

    /// An arm's results over the seeds.
    public struct Results: Sendable, Equatable {
        /// Mean -log p of the scored tokens, a value a seed.
        public var losses: [Double] = []
        /// Learning rates that validation chose.
        public var rates: [Double] = []

        public var mean: Double { losses.reduce(0, +) / Double(losses.count) }

        /// Of the sample; nil for one seed.
        public var standardDeviation: Double? {
            guard losses.count > 1 else { return nil }
            return (losses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(losses.count - 1)).squareRoot()
        }
    }

    public static let fileName = "study.jsonl"
    public static let tableName = "study.md"

    /// The directory's last component.
    public let name: String
    public let results: [Key: Results]
    /// In the paper's order, as far as they are there.
    public let methods: [String]
    public let seedCount: Int

    private static let maxByteCount = 1 << 26

    public static func isPresent(in directory: String) -> Bool { FilePath.isRegularFile("\(directory)/\(fileName)") }

    /// - Throws: `ReportError.badStudy`, `FileError`.
    public init(directory: String) throws {
        let path = "\(directory)/\(Self.fileName)"
        name = FilePath.lastComponent(directory)
        var results: [Key: Results] = [:], seeds: Set<Int> = []
        for (index, line) in try FileSystem.read(path, limit: Self.maxByteCount).split(separator: UInt8(ascii: "\n")).enumerated() {
            let row = try? line.withUnsafeBytes { try JSONValue.parse($0) }
            guard let row, let seed = row["seed"]?.intValue, let method = row["method"]?.stringValue, case .bool(let aligned)? = row["aligned"],
                let arm = row["arm"]?.stringValue.flatMap({ Arm(rawValue: $0) }), let loss = row["nll"]?.doubleValue, loss.isFinite
            else { throw ReportError.badStudy(path: path, line: index + 1) }
            seeds.insert(seed)
            let key = Key(method: method, aligned: aligned, arm: arm)
            results[key, default: Results()].losses.append(loss)
            if let rate = row["rate"]?.doubleValue { results[key]!.rates.append(rate) }
        }
        guard !results.isEmpty else { throw ReportError.badStudy(path: path, line: 1) }
        self.results = results
        seedCount = seeds.count
        let known = ["rand", "stru", "semi", "unst"], found = Set(results.keys.filter { $0.arm != .base && $0.arm != .lora }.map(\.method))
        methods = known.filter(found.contains) + found.subtracting(known).sorted()
    }

    public func results(_ method: String, aligned: Bool, _ arm: Arm) -> Results? { results[Key(method: method, aligned: aligned, arm: arm)] }

    var base: Results? { results("base", aligned: false, .base) }
    var lora: Results? { results("base", aligned: false, .lora) }
}
