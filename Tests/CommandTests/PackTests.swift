import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct PackTests {
    @discardableResult
    func succeed(_ arguments: [String], ranks: Int = 0) throws -> MPIRun.Outcome {
        let outcome = try CommandRun.run(arguments, ranks: ranks)
        try #require(outcome.exitCode == 0, "\(arguments): \(outcome.standardError)")
        return outcome
    }

    func contents(_ path: String) throws -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for name in try FilePath.names(inDirectory: path) { result[name] = try FileSystem.read("\(path)/\(name)") }
        return result
    }

    @Test func packVerifyDiffUnpack() throws {
        let project = try Project(), base = try project.writeCheckpoint("base"), packed = project.path("packed")
        let report = try JSONValue.parse(try succeed(["pack", base, packed, "--json"]).standardOutput)
        #expect(report["codec"] == "planes" && report["files"] == 1)
        try succeed(["verify", packed])
        #expect(try JSONValue.parse(succeed(["diff", base, packed, "--json"]).standardOutput)["equal"] == true)
        try succeed(["unpack", packed, project.path("plain")])
        #expect(try contents(project.path("plain")) == contents(base))
        try succeed(["unpack", packed, project.path("norm.safetensors"), "--tensor", "model.norm.weight"])
        #expect(try SafetensorsFile(path: project.path("norm.safetensors")).tensors.map(\.name) == ["model.norm.weight"])
        #expect(try JSONValue.parse(succeed(["inspect", packed, "--json"]).standardOutput)["codec"] == "planes")

        var bytes = try FileSystem.read("\(packed)/model.safetensors.planes")
        bytes[bytes.count / 2] ^= 1
        try OutputFile.write(bytes, to: "\(packed)/model.safetensors.planes")
        let outcome = try CommandRun.run(["verify", packed])
        #expect(outcome.exitCode == 65 && outcome.ownErrorLines.count == 1 && outcome.standardError.contains("frame"))
        let cut = try CommandRun.run(["unpack", packed, project.path("broken")])
        #expect(cut.exitCode == 65 && !FilePath.exists(project.path("broken")))
    }

    /// `zstd -d` on a file of codec zstd gives the plain file.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/zstd"), "the zstd program is not installed"))
    func zstdOpensItsCodec() throws {
        let project = try Project(), base = try project.writeCheckpoint("base"), packed = project.path("packed")
        try succeed(["pack", base, packed, "--compress", "zstd"])
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/zstd")
        process.arguments = ["-q", "-d", "\(packed)/model.safetensors.zst", "-o", project.path("plain.safetensors")]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(try FileSystem.read(project.path("plain.safetensors")) == FileSystem.read("\(base)/model.safetensors"))
    }

    /// Another program reads the format from its description.
    @Test(.enabled(if: PackedReader.isUsable, "LORAM_PYTHON has no numpy and zstandard"), arguments: ["planes", "zstd"])
    func theReferenceReaderAgrees(codec: String) throws {
        let project = try Project(), packed = project.path("packed")
        var config = Project.config()
        config.dtype = .bf16
        let base = try project.writeCheckpoint("base", config)
        try succeed(["pack", base, packed, "--compress", codec])
        let outcome = try PackedReader.run([packed, project.path("plain")])
        try #require(outcome.exitCode == 0, "\(outcome.output)")
        #expect(try contents(project.path("plain")) == contents(base))
    }

    /// A model that was packed trains, and is evaluated, to the same bits.
    @Test func packedModelsAreUsedAsTheyAre() throws {
        let project = try Project(), base = try project.writeCheckpoint("base"), packed = project.path("packed")
        try succeed(["pack", base, packed])
        var reports: [String] = []
        for (model, run) in [(base, "a"), (packed, "b")] {
            try succeed(
                ["train"]
                    + settings([
                        ("model", model), ("output", project.path(run)), ("data.train", "[{path: \(project.tokens)}]"), ("data.length", "24"),
                        ("batch.global", "4"), ("batch.micro", "2"), ("schedule.steps", "2"), ("recovery.merge", "false"),
                    ]))
            reports.append(try succeed(["evaluate", "--model", model, "--perplexity", project.texts, "--length", "32", "--json"]).standardOutput)
        }
        #expect(reports[0] == reports[1])
        let name = "adapter/adapter_model.safetensors"
        #expect(try FileSystem.read(project.path("a/\(name)")) == FileSystem.read(project.path("b/\(name)")))
    }
}

/// cluster/read_packed.py, under a Python that has what it needs.
enum PackedReader {
    static let isUsable = ReferencePython.isPresent && ((try? python(["-c", "import numpy, zstandard"]))?.exitCode == 0)

    static func run(_ arguments: [String]) throws -> (exitCode: Int32, output: String) {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try python([root.appendingPathComponent("cluster/read_packed.py").path] + arguments)
    }

    private static func python(_ arguments: [String]) throws -> (exitCode: Int32, output: String) {
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: ReferencePython.path ?? "/nonexistent")
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
