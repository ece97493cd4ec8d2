import Foundation
import LoRAMEngine
import TestSupport
import Testing

struct MachineMemoryTests {
    private static func write(_ directory: TemporaryDirectory, _ path: String, _ text: String) throws {
        let full = directory.path(path)
        try FileManager.default.createDirectory(atPath: (full as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: full))
    }

    /// Every group up to the root counts, of either version; "max" does not.
    @Test func limitsOfControlGroups() throws {
        let root = try TemporaryDirectory()
        try Self.write(root, "job/step/memory.max", "8589934592\n")
        try Self.write(root, "job/memory.max", "max\n")
        try Self.write(root, "memory.max", "17179869184\n")
        try Self.write(root, "memory/slurm/memory.limit_in_bytes", "4294967296\n")
        try Self.write(root, "memory/memory.limit_in_bytes", "9223372036854771712\n")
        func limits(_ text: String) -> [Int] { Machine.controlGroupLimits(of: text, root: root.path("")) }
        #expect(limits("0::/job/step\n") == [8 << 30, 16 << 30])
        #expect(limits("3:cpuset:/x\n4:memory:/slurm\n").first == 4 << 30)
        // A container sees other names than its files have; the root is its own.
        #expect(limits("0::/../elsewhere\n") == [16 << 30])
        #expect(limits("garbage\n1:memory\n").isEmpty && limits("").isEmpty)
    }

    @Test func thisMachineHasMemory() {
        #expect(Machine.memoryByteCount > 64 << 20)
    }
}
