import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct MappedFileTests {
    @Test func mapsAWholeFile() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("a")
        let content = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try OutputFile.write(content, to: path)
        let file = try MappedFile(path: path)
        #expect(file.withBytes { Array($0) } == content)
        for hint in [MappedFile.Hint.sequential, .willNeed, .random, .hugePages, .normal, .dontNeed] {
            file.advise(hint)
            file.advise(hint, range: 5000..<20_000)
        }
        #expect(file.withBytes { Array($0) } == content)
    }

    @Test func mapsAnEmptyFile() throws {
        let directory = try TemporaryDirectory()
        try OutputFile.write([], to: directory.path("empty"))
        #expect(try MappedFile(path: directory.path("empty")).count == 0)
    }

    @Test func saysWhyItCannotRead() throws {
        let directory = try TemporaryDirectory()
        let missing = directory.path("missing")
        let error = caught(FileError.self) { _ = try MappedFile(path: missing) }
        #expect(error == .cannotRead(path: missing, call: "open", code: ENOENT))
        #expect(error?.description == "cannot read \(missing): open failed, No such file or directory; check the path and its permissions")
        #expect(caught(FileError.self) { _ = try MappedFile(path: directory.path) } == .notRegularFile(path: directory.path))
    }

    @Test func aFileCutWhileMappedEndsTheProcessInOneLine() async throws {
        let result = await #expect(processExitsWith: .exitCode(ExitStatus.badInput.rawValue), observing: [\.standardErrorContent]) {
            TruncationGuard.install()
            let path = NSTemporaryDirectory() + "/loram-cut-\(getpid())"
            try OutputFile.write([UInt8](repeating: 1, count: 20_000), to: path)
            let other = try MappedFile(path: "/proc/self/exe")
            let file = try MappedFile(path: path)
            truncate(path, 0)
            unlink(path)
            _exit(Int32(file.withBytes { $0[15_000] } & other.withBytes { $0[0] }))
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("expected 20000 bytes as when it was opened, found it cut short while being read"))
    }
}
