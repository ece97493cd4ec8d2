import Foundation

/// Public data that lie beside a checkout and belong to nobody here; tests that need them are skipped where they are absent.
public enum SharedData {
    /// The path of a file or directory in the shared data; nil if it is not there.
    ///
    /// The place is `LORAM_SHARED_DATA`, or a directory `shared/data` beside one of the directories that hold this source.
    public static func path(_ name: String) -> String? {
        guard let root else { return nil }
        let path = "\(root)/\(name)"
        return FileManager.default.fileExists(atPath: path) ? path : nil
    }

    private static let root: String? = {
        if let set = ProcessInfo.processInfo.environment["LORAM_SHARED_DATA"] { return set }
        var directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        while directory.path != "/" {
            let candidate = directory.deletingLastPathComponent().appendingPathComponent("shared/data").path
            if FileManager.default.fileExists(atPath: candidate) { return candidate }
            directory.deleteLastPathComponent()
        }
        return nil
    }()
}
