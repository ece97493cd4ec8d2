import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct FileSystemTests {
    @Test func writeReplacesAndLeavesNothingElse() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("file")
        try FileSystem.write("one", to: path)
        try FileSystem.write("two", to: path)
        #expect(try FileSystem.read(path) == Array("two".utf8))
        #expect(try FilePath.names(inDirectory: directory.path) == ["file"])
        #expect(FileSystem.fileSize(path) == 3)
        #expect(FileSystem.fileSize(directory.path) == nil)
    }

    @Test func aFailedWriteLeavesNoPart() throws {
        let directory = try TemporaryDirectory()
        try FileSystem.createDirectory(directory.path("taken/child"))
        // A directory that is not empty cannot be replaced: the rename, the last step, fails.
        #expect(throws: FileError.self) { try FileSystem.write("x", to: directory.path("taken")) }
        #expect(try FilePath.names(inDirectory: directory.path) == ["taken"])
        #expect(try FilePath.names(inDirectory: directory.path("taken")) == ["child"])
        #expect(throws: FileError.self) { try FileSystem.write("x", to: directory.path("missing/file")) }
    }

    @Test func createDirectoryRefusesAFileInTheWay() throws {
        let directory = try TemporaryDirectory()
        try FileSystem.write("x", to: directory.path("file"))
        try FileSystem.createDirectory(directory.path("a/b/c"))
        try FileSystem.createDirectory(directory.path("a/b/c"))
        #expect(FilePath.isDirectory(directory.path("a/b/c")))
        #expect(throws: FileError.self) { try FileSystem.createDirectory(directory.path("file")) }
        #expect(throws: FileError.self) { try FileSystem.createDirectory(directory.path("file/below")) }
    }

    @Test func appendedLinesStandOneAfterTheOther() throws {
        let directory = try TemporaryDirectory()
        try AppendedFile(directory.path("log")).append("abc")
        let file = try AppendedFile(directory.path("log"))
        try file.append("def")
        try file.sync()
        #expect(try FileSystem.read(directory.path("log")) == Array("abc\ndef\n".utf8))
        #expect(throws: FileError.self) { _ = try AppendedFile(directory.path("none/log")) }
    }

    @Test func readRefusesWhatIsTooLargeOrMissing() throws {
        let directory = try TemporaryDirectory()
        try FileSystem.write("12345", to: directory.path("file"))
        #expect(throws: FileError.cannotRead(path: directory.path("file"), call: "read", code: EFBIG)) {
            try FileSystem.read(directory.path("file"), limit: 4)
        }
        #expect(throws: FileError.cannotRead(path: directory.path("none"), call: "open", code: ENOENT)) {
            try FileSystem.read(directory.path("none"))
        }
    }

    @Test func removeTakesTreesButFollowsNoLinks() throws {
        let directory = try TemporaryDirectory()
        try FileSystem.createDirectory(directory.path("tree/a/b"))
        try FileSystem.createDirectory(directory.path("outside"))
        try FileSystem.write("x", to: directory.path("outside/keep"))
        #expect(symlink(directory.path("outside"), directory.path("tree/a/link")) == 0)
        try FileSystem.remove(directory.path("tree"))
        try FileSystem.remove(directory.path("tree"))
        #expect(try FilePath.names(inDirectory: directory.path) == ["outside"])
        #expect(try FilePath.names(inDirectory: directory.path("outside")) == ["keep"])
    }

    @Test func hashes() throws {
        // FIPS 180-4's examples.
        #expect(ContentHash.sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(ContentHash.sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        let directory = try TemporaryDirectory()
        let text = String(repeating: "0123456789abcdef", count: (1 << 17) + 3)
        try FileSystem.write(text, to: directory.path("large"))
        #expect(ContentHash.isSHA256(ContentHash.sha256("abc")))
        #expect(!ContentHash.isSHA256("BA7816BF"))
        #expect(try ContentHash.sha256(file: directory.path("large")) == ContentHash.sha256(text))
    }
}
