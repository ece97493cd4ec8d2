import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct AtomicDirectoryTests {
    @Test func appearsWhenCompleteAndLeavesNothingElse() throws {
        let work = try TemporaryDirectory(), path = work.path("out")
        let directory = try AtomicDirectory(path)
        try FileSystem.write("x", to: directory.path("file"))
        #expect(!FilePath.exists(path))
        try directory.commit()
        #expect(try FilePath.names(inDirectory: work.path) == ["out"])
        #expect(try FilePath.names(inDirectory: path) == ["file"])
    }

    @Test func droppedItLeavesNothing() throws {
        let work = try TemporaryDirectory()
        do {
            let directory = try AtomicDirectory(work.path("out"))
            try FileSystem.write("x", to: directory.path("file"))
            #expect(try FilePath.names(inDirectory: work.path).count == 1)
        }
        #expect(try FilePath.names(inDirectory: work.path).isEmpty)
    }

    /// What a killed process has left is nobody's; what another is at, and what only looks like it, stays.
    @Test func leftoversGoAndOthersWorkStays() throws {
        let work = try TemporaryDirectory(), path = work.path("out")
        let others = ["out.partial-1", "out.partial-old", "out.partial", "other.partial-1"]
        for name in ["out.partial-999999999"] + others {
            try FileSystem.createDirectory(work.path("\(name)/below"))
            try FileSystem.write("x", to: work.path("\(name)/below/file"))
        }
        let held = open(work.path("out.partial-1"), O_RDONLY | O_DIRECTORY)
        #expect(flock(held, LOCK_EX) == 0)
        let directory = try AtomicDirectory(path)
        let mine = FilePath.lastComponent(directory.temporaryPath)
        #expect(try Set(FilePath.names(inDirectory: work.path)) == Set(others + [mine]))
        close(held)
        try directory.commit()
    }

    @Test func twoCannotMakeTheSame() throws {
        let work = try TemporaryDirectory(), path = work.path("out")
        let first = try AtomicDirectory(path)
        try FileSystem.write("x", to: first.path("file"))
        #expect(throws: FileError.inUse(path: path)) { _ = try AtomicDirectory(path) }
        try first.commit()
        #expect(try FilePath.names(inDirectory: path) == ["file"])
    }

    @Test func replacesOnlyWhenAsked() throws {
        let work = try TemporaryDirectory(), path = work.path("out")
        try FileSystem.createDirectory(path)
        try FileSystem.write("old", to: "\(path)/file")
        #expect(throws: FileError.exists(path: path)) { _ = try AtomicDirectory(path) }
        let directory = try AtomicDirectory(path, replacing: true)
        try FileSystem.write("new", to: directory.path("file"))
        #expect(try FileSystem.read("\(path)/file") == Array("old".utf8))
        try directory.commit()
        #expect(try FileSystem.read("\(path)/file") == Array("new".utf8))
        #expect(try FilePath.names(inDirectory: work.path) == ["out"])
    }
}
