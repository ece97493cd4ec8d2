import Foundation
import LoRAMEngine

/// Finds out which ranks see the same files as rank 0: it writes a file of a name that nobody can know, and the others look for it.
enum StorageProbe {
    /// All ranks call this. For every rank of the job whether it sees what rank 0 sees at `path`, or in the nearest directory above it that exists.
    static func find(_ world: Communicator, path: String) throws -> [Bool] {
        var made: String?
        defer { if let made { unlink(made) } }
        var question = Data()
        if world.rank == 0 {
            var directory = path
            while !FilePath.isDirectory(directory), FilePath.parent(directory) != directory { directory = FilePath.parent(directory) }
            let nonce = UUID().uuidString, file = "\(directory)/.loram-storage-\(nonce)"
            if (try? FileSystem.write(nonce, to: file)) != nil {
                made = file
                question = try JSONEncoder().encode(Question(path: file, content: nonce, identity: nil))
            } else {
                // A place where nothing may be written, as models often lie: the directory's own identity has to do.
                question = try JSONEncoder().encode(Question(path: directory, content: nil, identity: identity(directory)))
            }
        }
        let asked = try JSONDecoder().decode(Question.self, from: world.broadcast(world.rank == 0 ? question : nil, root: 0))
        let sees: Bool
        if let content = asked.content {
            sees = (try? FileSystem.read(asked.path, limit: 1 << 10)) == Array(content.utf8)
        } else {
            sees = asked.identity != nil && identity(asked.path) == asked.identity
        }
        // Nobody removes the file before all have looked.
        return try world.allGather([Int64(sees ? 1 : 0)]).map { $0 == 1 }
    }

    private struct Question: Codable {
        var path: String
        var content: String?
        var identity: String?
    }

    private static func identity(_ path: String) -> String? {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        return "\(info.st_ino) \(info.st_mtim.tv_sec).\(info.st_mtim.tv_nsec)"
    }
}
