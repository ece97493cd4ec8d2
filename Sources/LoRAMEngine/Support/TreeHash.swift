import Foundation
import Synchronization

/// SHA-256 of a file, or of a directory: of the names and hashes of its files. Large models are read by all threads, and only where a
/// file's size or time of change is new.
public enum TreeHash {
    /// Hashes of files as they were last read.
    public struct Cache: Sendable, Equatable {
        struct File: Sendable, Equatable {
            var size: Int
            var nanoseconds: Int
            var hash: String
        }

        fileprivate var files: [String: File] = [:]

        public init() {}

        public init(_ json: JSONValue?) {
            for member in json?.objectMembers ?? [] {
                guard let size = member.value["size"]?.intValue, let time = member.value["changed"]?.intValue, let hash = member.value["sha256"]?.stringValue
                else { continue }
                files[member.key] = File(size: size, nanoseconds: time, hash: hash)
            }
        }

        public var json: JSONValue {
            .object(
                files.sorted { $0.key < $1.key }.map {
                    JSONMember($0.key, ["size": .integer($0.value.size), "changed": .integer($0.value.nanoseconds), "sha256": .string($0.value.hash)])
                })
        }
    }

    /// - Throws: `FileError`.
    public static func hash(_ path: String, cache: inout Cache, pool: ThreadPool) throws -> String {
        guard FilePath.isDirectory(path) else {
            try read([path], &cache, pool)
            return cache.files[path]!.hash
        }
        // Hidden files are other programs' business.
        let names = try FileManager.default.subpathsOfDirectory(atPath: path).filter { name in
            !name.split(separator: "/").contains { $0.hasPrefix(".") } && FilePath.isRegularFile("\(path)/\(name)")
        }.sorted()
        try read(names.map { "\(path)/\($0)" }, &cache, pool)
        return ContentHash.sha256(names.map { "\($0) \(cache.files["\(path)/\($0)"]!.hash)\n" }.joined())
    }

    private static func read(_ paths: [String], _ cache: inout Cache, _ pool: ThreadPool) throws {
        var stale: [(path: String, size: Int, nanoseconds: Int)] = []
        for path in paths {
            var status = stat()
            guard stat(path, &status) == 0 else { throw FileError.cannotRead(path: path, call: "stat", code: errno) }
            let time = Int(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int(status.st_mtim.tv_nsec), size = Int(status.st_size)
            if let known = cache.files[path], known.size == size, known.nanoseconds == time { continue }
            stale.append((path, size, time))
        }
        let found = Mutex<[Int: Result<String, any Error>]>([:]), files = stale
        pool.run(files.count) { index, _ in
            let result = Result { try ContentHash.sha256(file: files[index].path) }
            found.withLock { $0[index] = result }
        }
        for (index, file) in stale.enumerated() {
            cache.files[file.path] = Cache.File(size: file.size, nanoseconds: file.nanoseconds, hash: try found.withLock { $0[index]! }.get())
        }
    }
}
