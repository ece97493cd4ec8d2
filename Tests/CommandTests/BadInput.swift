import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// A command with something wrong, the exit status it must end with and words that its one line must hold.
struct BadInput: Sendable, CustomTestStringConvertible {
    var name: String
    var status: Int32 = 65
    var words: [String]
    /// Prepares files and gives the command line; nothing may come to be at `output`.
    var command: @Sendable (BadInputWorkspace, _ output: String) throws -> [String]

    var testDescription: String { name }

    /// Runs it, alone or on several ranks, and checks how it ends.
    func check(ranks: Int = 0, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let workspace = try BadInputWorkspace.shared.get()
        let output = workspace.project.path("out-\(UUID().uuidString)")
        let outcome = try CommandRun.run(command(workspace, output), ranks: ranks)
        #expect(outcome.exitCode == status, "\(outcome.standardError)", sourceLocation: sourceLocation)
        #expect(outcome.ownErrorLines.count == 1, "\(outcome.standardError)", sourceLocation: sourceLocation)
        for word in words { #expect(outcome.standardError.contains(word), "\(outcome.standardError)", sourceLocation: sourceLocation) }
        #expect(outcome.standardOutput.isEmpty, sourceLocation: sourceLocation)
        #expect(traces(of: output).isEmpty, sourceLocation: sourceLocation)
    }
}

/// Good files, from which cases make bad ones.
final class BadInputWorkspace: Sendable {
    static let shared = Result { try BadInputWorkspace() }

    let project: Project
    /// A whole checkpoint, two pruned ones of it by different plans, and an adapter trained on the first.
    let base: String
    let pruned: String
    let otherPruned: String
    let adapter: String
    /// A whole checkpoint of another shape, and a pruned one of it.
    let otherBase: String
    let otherBasePruned: String

    init() throws {
        project = try Project()
        base = try project.writeCheckpoint("base")
        otherBase = try project.writeCheckpoint("other-base", Project.config(layers: 3))
        adapter = project.path("run/adapter-pruned")
        (pruned, otherPruned, otherBasePruned) = (project.path("pruned"), project.path("pruned-2"), project.path("other-pruned"))
        for (model, output, seed) in [(base, pruned, "1"), (base, otherPruned, "2"), (otherBase, otherBasePruned, "1")] {
            try Self.run(["prune", "--model", model, "--output", output, "--method", "rand", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1", "--seed", seed])
        }
        try Self.run(trainCommand(pruned, output: project.path("run")) + settings([("schedule.steps", "1"), ("model", base)]))
    }

    private static func run(_ command: [String]) throws {
        let outcome = try CommandRun.run(command)
        try #require(outcome.exitCode == 0, "\(outcome.standardError)")
    }

    /// A copy of a directory, changed.
    func copy(_ path: String, _ change: (String) throws -> Void) throws -> String {
        let copy = project.path("copy-\(UUID().uuidString)")
        try FileManager.default.copyItem(atPath: path, toPath: copy)
        try change(copy)
        return copy
    }

    func file(_ bytes: [UInt8], suffix: String = ".jsonl") throws -> String {
        let path = project.path("file-\(UUID().uuidString)\(suffix)")
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    func trainCommand(_ model: String, data: String? = nil, output: String) -> [String] {
        ["train"]
            + settings([
                ("trained_on", model), ("output", output), ("data.train", "[{path: \(data ?? project.tokens)}]"), ("data.length", "32"),
                ("batch.global", "4"), ("batch.micro", "2"), ("schedule.steps", "2"),
            ])
    }

    func alignCommand(_ model: String, data: String? = nil, output: String) -> [String] {
        ["align"]
            + settings([
                ("model", model), ("output", output), ("alignment.data.train", "[{path: \(data ?? project.tokens)}]"), ("alignment.data.length", "32"),
                ("alignment.batch.global", "4"), ("alignment.batch.micro", "2"), ("alignment.schedule.steps", "2"),
            ])
    }

    func evaluateCommand(_ model: String, data: String? = nil) -> [String] {
        ["evaluate", "--model", model, "--perplexity", data ?? project.texts, "--length", "32"]
    }

    func pruneCommand(_ model: String, output: String) -> [String] {
        ["prune", "--model", model, "--output", output, "--method", "rand", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1"]
    }

    func recoverCommand(model: String? = nil, pruned: String? = nil, adapter: String? = nil, output: String) -> [String] {
        ["recover", "--model", model ?? base, "--pruned", pruned ?? self.pruned, "--adapter", adapter ?? self.adapter, "--output", output]
    }
}

// MARK: - Changes to files

/// Rewrites a JSON file with one key changed.
func change(_ path: String, _ key: String, to value: JSONValue?) throws {
    var json = try JSONValue.parse(contentsOf: path)
    json[key] = value
    try json.serialized().write(toFile: path, atomically: true, encoding: .utf8)
}

func rewrite(_ path: String, _ change: (inout [UInt8]) throws -> Void) throws {
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    try change(&bytes)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}

/// The first occurrence of a text becomes another of the same length.
func replace(_ old: String, by new: String, in path: String) throws {
    try rewrite(path) { bytes in
        let start = try #require(bytes.indices.first { bytes[$0...].starts(with: old.utf8) }, "\(path) has no \(old)")
        bytes.replaceSubrange(start..<start + old.utf8.count, with: Array(new.utf8))
    }
}

func duplicateFirstKey(in path: String) throws {
    let key = try #require(JSONValue.parse(contentsOf: path).objectMembers?.first)
    try rewrite(path) { $0.replaceSubrange(0...$0.firstIndex(of: UInt8(ascii: "{"))!, with: Array("{\"\(key.key)\": \(key.value.serialized()),".utf8)) }
}
