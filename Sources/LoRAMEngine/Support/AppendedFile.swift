import Foundation

/// A text file that grows by whole lines and can be read while it does.
///
/// A line goes to the system in one call, so that a killed process leaves at most the last line unfinished.
public final class AppendedFile {
    public let path: String
    private let descriptor: Int32

    /// Opens the file at its end, creating it where it is missing.
    ///
    /// - Throws: `FileError.cannotWrite`.
    public init(_ path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        if descriptor < 0 { throw FileError.cannotWrite(path: path, call: "open", code: errno) }
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Appends `line` and a newline.
    ///
    /// - Throws: `FileError.cannotWrite`, for example on a full disk.
    public func append(_ line: String) throws {
        var bytes = Array(line.utf8)
        bytes.append(UInt8(ascii: "\n"))
        try append(bytes: bytes)
    }

    /// Appends bytes as they are, in one call like a line.
    ///
    /// - Throws: `FileError.cannotWrite`.
    public func append(bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { buffer in
            var offset = 0
            while offset < buffer.count {
                let written = write(descriptor, buffer.baseAddress! + offset, buffer.count - offset)
                if written < 0 {
                    if errno == EINTR { continue }
                    throw FileError.cannotWrite(path: path, call: "write", code: errno)
                }
                offset += written
            }
        }
    }

    /// Returns when everything appended is on the device.
    ///
    /// - Throws: `FileError.cannotWrite`.
    public func sync() throws {
        if fsync(descriptor) != 0 { throw FileError.cannotWrite(path: path, call: "fsync", code: errno) }
    }
}
