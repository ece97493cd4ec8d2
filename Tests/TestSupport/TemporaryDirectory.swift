import Foundation
import Synchronization

/// A fresh directory that is removed, with all it holds, when the last reference goes; at the latest when the process ends, for those
/// that tests share.
public final class TemporaryDirectory: Sendable {
    public let path: String

    public init() throws {
        var template = Array("\(NSTemporaryDirectory())/loram-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw CocoaError(.fileWriteUnknown) }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        _ = Self.removalAtExit
        Self.existing.withLock { _ = $0.insert(path) }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
        Self.existing.withLock { _ = $0.remove(path) }
    }

    private static let existing = Mutex<Set<String>>([])

    private static let removalAtExit: Void = {
        atexit {
            let paths = TemporaryDirectory.existing.withLock { $0 }
            for path in paths { try? FileManager.default.removeItem(atPath: path) }
        }
    }()

    public func path(_ name: String) -> String { "\(path)/\(name)" }
}
