import Foundation
import LoRAMEngine
import Testing

/// What a training run left in its directory.
struct RunOutput {
    let path: String

    /// Rows of completed updates.
    func rows() throws -> [JSONValue] {
        try String(contentsOfFile: "\(path)/metrics.jsonl", encoding: .utf8).split(separator: "\n")
            .map { try JSONValue.parse(String($0)) }.filter { $0["loss"] != nil }
    }

    /// All that must be equal to the last bit in each row; doubles are written so that they read back as the same bits.
    func curve() throws -> [String] {
        try rows().map { row in
            try ["step", "phase", "loss", "grad_norm", "learning_rate", "tokens"].map { try #require(row[$0]).serialized() }.joined(separator: " ")
        }
    }

    /// Rows of evaluations, as they stand.
    func evaluations() throws -> [String] {
        try String(contentsOfFile: "\(path)/metrics.jsonl", encoding: .utf8).split(separator: "\n").map(String.init).filter { $0.contains("\"eval/") }
    }

    func numbers(_ key: String) throws -> [Double] { try rows().map { try #require($0[key]?.doubleValue, "\(key)") } }

    func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")) }

    var names: Set<String> { Set((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []) }
}

/// A file or directory, and leftovers under temporary names beside it.
func traces(of path: String) -> [String] {
    let url = URL(fileURLWithPath: path)
    let siblings = (try? FileManager.default.contentsOfDirectory(atPath: url.deletingLastPathComponent().path)) ?? []
    return siblings.filter { $0.hasPrefix(url.lastPathComponent) || $0.hasPrefix(".\(url.lastPathComponent)") }
}

/// |a - b| / |b|
func relativeDifference(_ a: Double, _ b: Double) -> Double { abs(a - b) / abs(b) }
