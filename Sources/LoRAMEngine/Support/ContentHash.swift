import Crypto
import Foundation

/// SHA-256 in lower-case hexadecimal, for recipes, checkpoint files and plans.
public enum ContentHash {
    public static func sha256(_ bytes: UnsafeRawBufferPointer) -> String {
        var running = Running()
        running.update(bytes)
        return running.finish()
    }

    public static func sha256(_ text: String) -> String {
        var text = text
        return text.withUTF8 { sha256(UnsafeRawBufferPointer($0)) }
    }

    /// Hash of a file, read in blocks of 1 MiB.
    ///
    /// - Throws: `FileError.cannotRead`.
    public static func sha256(file path: String) throws -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw FileError.cannotRead(path: path, call: "open", code: errno) }
        defer { close(descriptor) }
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { block.deallocate() }
        var running = Running()
        while true {
            let count = read(descriptor, block.baseAddress!, block.count)
            if count == 0 { return running.finish() }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError.cannotRead(path: path, call: "read", code: errno)
            }
            running.update(UnsafeRawBufferPointer(rebasing: block[..<count]))
        }
    }

    /// True for 64 lower-case hexadecimal digits.
    public static func isSHA256(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) }
    }

    /// A hash whose bytes come piece by piece.
    public struct Running {
        private var hash = SHA256()

        public init() {}

        public mutating func update(_ bytes: UnsafeRawBufferPointer) {
            hash.update(bufferPointer: bytes)
        }

        public func finish() -> String {
            let digits = Array("0123456789abcdef".utf8)
            var text: [UInt8] = []
            text.reserveCapacity(64)
            for byte in hash.finalize() {
                text.append(digits[Int(byte >> 4)])
                text.append(digits[Int(byte & 15)])
            }
            return String(decoding: text, as: UTF8.self)
        }
    }
}
