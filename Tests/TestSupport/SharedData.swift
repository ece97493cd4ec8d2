import Foundation

/// Public data beside the checkout that tests use where it is there (`shared/data`), and never commit.
public enum SharedData {
    /// The path of a file or directory; nil where the data are absent.
    ///
    /// The folder is what LORAM_SHARED_DATA names, or the first `shared/data` beside a directory above this file.
    public static func path(_ name: String) -> String? {
        guard let root else { return nil }
        let path = "\(root)/\(name)"
        return FileManager.default.fileExists(atPath: path) ? path : nil
    }

    private static let root: String? = {
        if let given = ProcessInfo.processInfo.environment["LORAM_SHARED_DATA"] { return given }
        var directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        while directory.path != "/" {
            let candidate = directory.appendingPathComponent("shared/data").path
            if FileManager.default.fileExists(atPath: candidate) { return candidate }
            directory.deleteLastPathComponent()
        }
        return nil
    }()
}
