import Foundation

/// A Python with the packages of Tests/fixtures-src/requirements.txt, for checks against transformers and PEFT. Tests that need it are
/// skipped where the variable LORAM_PYTHON names none.
public enum ReferencePython {
    public static let path: String? = {
        guard let path = ProcessInfo.processInfo.environment["LORAM_PYTHON"], FileManager.default.isExecutableFile(atPath: path) else { return nil }
        return path
    }()

    public static var isPresent: Bool { path != nil }

    /// Whether that Python has a module that is not among those which every one must have.
    public static func has(_ module: String) -> Bool {
        guard let path else { return false }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('\(module)') is None)"]
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    /// Runs a script of Tests/fixtures-src; returns its exit code and what it printed to stdout and stderr.
    public static func run(_ script: String, _ arguments: [String]) throws -> (exitCode: Int32, output: String) {
        let scripts = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("fixtures-src")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path ?? "/nonexistent")
        process.arguments = [scripts.appendingPathComponent(script).path] + arguments
        var environment = ProcessInfo.processInfo.environment
        // Modules of a checkpoint are copied into a cache: keep it out of the home directory.
        environment["HF_MODULES_CACHE"] = NSTemporaryDirectory() + "/loram-test-hf-modules-\(getpid())"
        environment["HF_HUB_OFFLINE"] = "1"
        process.environment = environment
        defer { try? FileManager.default.removeItem(atPath: environment["HF_MODULES_CACHE"]!) }
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
