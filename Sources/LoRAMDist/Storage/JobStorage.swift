import Foundation
import LoRAMEngine

/// The files of a job whose hosts do not all see them (`parallel.storage`): rank 0's host has models, data and the run directory; another
/// host gets, in a directory of its own, the parts that its ranks need, and what its ranks write comes back.
///
/// On such a host a path `/models/x` stands for `STAGING/models/x`; `local` translates. Where all hosts see the same files nothing of this
/// happens. Commands call `stage` before they open files and `fill` before they read tensors.
final class JobStorage {
    /// Some host does not see the files.
    let isLocal: Bool
    private let world: Communicator
    private let marker: ProgressMarker
    /// Of each rank of the job: the first rank of its host, and whether that host sees the files.
    private let leaders: [Int]
    private let sees: [Bool]
    /// Rank 0 and the first ranks of the hosts that do not see the files; nil on others.
    private let stream: Communicator?
    /// Ranks whose hosts see the files; nil on others.
    let sharers: Communicator?
    /// Where this rank's host keeps its parts; nil where it sees the files.
    private let staging: String?
    private let workingDirectory: String
    /// Rank 0's: what the hosts have, by path, with what it was like when it was sent.
    private var staged: [String: String] = [:]
    /// Rank 0's: path, tensor and receiver of what has been filled in.
    private var filled: Set<String> = []

    /// All ranks call this.
    ///
    /// - Parameters:
    ///   - mode: `parallel.storage`.
    ///   - path: the run directory, or what else all read.
    init(_ world: Communicator, node: Communicator, mode: ParallelRecipe.Storage, path: String?, marker: ProgressMarker) throws {
        self.world = world
        self.marker = marker
        let leader = Int(-(try node.allReduce(Int64(-world.rank), .max)))
        let leaders = try world.allGather([Int64(leader)]).map { Int($0) }
        self.leaders = leaders
        let own = FileManager.default.currentDirectoryPath
        workingDirectory = String(decoding: try world.broadcast(world.rank == 0 ? Data(own.utf8) : nil, root: 0), as: UTF8.self)
        let isOneHost = leaders.allSatisfy { $0 == leaders[0] }
        sees =
            switch mode {
            case .auto where !isOneHost: try StorageProbe.find(world, path: path ?? workingDirectory)
            case .local: leaders.map { $0 == leaders[0] }
            case .auto, .shared: leaders.map { _ in true }
            }
        isLocal = sees.contains(false)
        guard isLocal else {
            (stream, sharers, staging) = (nil, world, nil)
            return
        }
        let isReceiver = !sees[world.rank] && leader == world.rank
        stream = try world.split(color: world.rank == 0 || isReceiver ? 0 : nil, key: world.rank)
        sharers = try world.split(color: sees[world.rank] ? 0 : nil, key: world.rank)
        let made = try world.together { isReceiver ? try StagingDirectory.make() : nil }
        let text = try node.broadcast(node.rank == 0 ? Data((made ?? "").utf8) : nil, root: 0)
        staging = sees[world.rank] ? nil : String(decoding: text, as: UTF8.self)
    }

    // MARK: Paths

    private func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "\(workingDirectory)/\(path)" }

    /// Where this rank finds what rank 0 calls `path`. What has not been staged, such as a preset's name, is left as it is.
    func local(_ path: String) -> String {
        guard let staging, !path.hasPrefix("\(staging)/") else { return path }
        let staged = staging + absolute(path)
        return FilePath.exists(staged) ? staged : path
    }

    /// All ranks call this: the recipe with this rank's paths. The run directory is translated whether it is there or not.
    func localized(_ recipe: Recipe) throws -> Recipe {
        guard isLocal else { return recipe }
        try world.together {
            for (key, cache) in [("data.cache", recipe.data.cache), ("alignment.data.cache", recipe.alignment.data.cache)] where cache != nil {
                throw StorageError.cacheNeedsSharedStorage(key: key)
            }
        }
        var present: [String] = []
        if world.rank == 0 { _ = recipe.mappingPaths { path, _ in if FilePath.exists(path) { present.append(path) }; return path } }
        let list = try world.broadcast(world.rank == 0 ? JSONEncoder().encode(present) : nil, root: 0)
        let known = Set(try JSONDecoder().decode([String].self, from: list))
        guard let staging else { return recipe }
        return recipe.mappingPaths { path, isOutput in isOutput || known.contains(path) ? staging + absolute(path) : path }
    }

    // MARK: To the hosts

    /// All ranks call this before they open files or directories: the hosts that lack them get small files and the headers of large ones.
    /// Only rank 0's paths count; those that are not there are passed over. Changed ones are sent again.
    func stage(_ paths: [String]) throws {
        guard let stream else { return }
        try send(stream) {
            var plan = StagingPlan()
            for path in paths.map(absolute) where FilePath.exists(path) {
                let isDirectory = FilePath.isDirectory(path), byteCount = FileSystem.fileSize(path) ?? 0
                let listing = isDirectory ? try StagingPlan.listing(path) : [(path: path, byteCount: byteCount, end: byteCount)]
                let state = listing.map { FileSystem.identity($0.path) ?? "" }.joined(separator: "\n")
                guard staged[path] != state else { continue }
                staged[path] = state
                filled = filled.filter { !$0.hasPrefix("\(path)/") }
                plan.renewed.append(path)
                if isDirectory { plan.directories.append(path) }
                plan.files += listing.map { .init(path: $0.path, byteCount: $0.byteCount, ranges: [[0, $0.end]], receivers: Array(1..<stream.size)) }
            }
            return plan
        }
    }

    /// All ranks call this before they read tensors: every host gets those of the directories' safetensors files that the stages of its
    /// ranks read; a tensor that several hosts need leaves rank 0 once.
    ///
    /// - Parameters:
    ///   - ranges: this rank's own.
    ///   - tied: the embedding is the head too.
    func fill(_ directories: [String], for ranges: [StageRange], tied: Bool) throws {
        guard isLocal else { return }
        let own = ranges.flatMap { [$0.layers.lowerBound, $0.layers.upperBound, $0.isFirst ? 1 : 0, $0.isLast ? 1 : 0] }
        let all = try world.allGather(JSONEncoder().encode(own)).map { try JSONDecoder().decode([Int].self, from: $0) }
        guard let stream else { return }
        try send(stream) {
            // Of every receiver, what the ranks of its host hold.
            let needs = (1..<stream.size).map { receiver in
                leaders.indices.filter { leaders[$0] == stream.worldRanks[receiver] }.flatMap { rank in
                    stride(from: 0, to: all[rank].count, by: 4).map {
                        StageRange(layers: all[rank][$0]..<all[rank][$0 + 1], isFirst: all[rank][$0 + 2] == 1, isLast: all[rank][$0 + 3] == 1)
                    }
                }
            }
            var plan = StagingPlan()
            for directory in directories.map(absolute) where FilePath.isDirectory(directory) && !CheckpointFiles.isPacked(directory) {
                for (path, byteCount, _) in try StagingPlan.listing(directory) where path.hasSuffix(CheckpointFiles.plainSuffix) {
                    for entry in try SafetensorsFile(path: path).header.entries where !entry.range.isEmpty {
                        let name = entry.info.name
                        let receivers = (1..<stream.size).filter { receiver in
                            needs[receiver - 1].contains { $0.needs(tensor: name, tied: tied) } && filled.insert("\(path) \(name) \(receiver)").inserted
                        }
                        guard !receivers.isEmpty else { continue }
                        plan.add(entry.range, of: path, byteCount: byteCount, receivers: receivers)
                    }
                }
            }
            return plan
        }
    }

    private func send(_ stream: Communicator, _ plan: () throws -> StagingPlan) throws {
        let planned = stream.rank == 0 ? try JSONEncoder().encode(plan()) : nil
        let plan = try JSONDecoder().decode(StagingPlan.self, from: stream.broadcast(planned, root: 0))
        func target(_ path: String) -> String { (staging ?? "") + path }
        if stream.rank > 0 {
            for path in plan.renewed { try FileSystem.remove(target(path)) }
            for path in plan.directories { try FileSystem.createDirectory(target(path)) }
        }
        try FileStream(group: stream, marker: marker).send(plan.files, target: target)
    }

    // MARK: From the hosts

    /// Makes a directory in which this rank is about to write, where it is not rank 0's to make.
    func prepare(_ directory: String) throws { if staging != nil { try FileSystem.createDirectory(directory) } }

    /// All ranks of a group call this, rank 0 of which is the job's: files that ranks have written where others do not see them come to rank 0,
    /// under their own names, and are gone here.
    func bringBack(_ files: [String], in group: Communicator) throws {
        guard isLocal else { return }
        precondition(group.worldRanks[0] == 0)
        let own = try files.compactMap { path -> Outgoing? in
            guard let staging else { return nil }
            guard let byteCount = FileSystem.fileSize(path) else { throw FileError.cannotRead(path: path, call: "stat", code: errno) }
            return Outgoing(path: String(path.dropFirst(staging.count)), byteCount: byteCount)
        }
        let lists = try group.allGather(JSONEncoder().encode(own)).map { try JSONDecoder().decode([Outgoing].self, from: $0) }
        for (member, list) in lists.enumerated() {
            for file in list {
                if group.rank == member { try give(file, group) }
                if group.rank == 0 { try take(file, from: member, group) }
            }
        }
    }

    private struct Outgoing: Codable {
        /// Rank 0's name of it.
        var path: String
        var byteCount: Int
    }

    private static let tag = 22

    private func give(_ file: Outgoing, _ group: Communicator) throws {
        let path = (staging ?? "") + file.path, mapped = try MappedFile(path: path)
        try mapped.withBytes { bytes in
            for start in stride(from: 0, to: bytes.count, by: FileStream.pieceByteCount) {
                let count = min(FileStream.pieceByteCount, bytes.count - start)
                try group.send(bytes.baseAddress!.assumingMemoryBound(to: UInt8.self) + start, count: count, to: 0, tag: Self.tag).wait()
                marker.touch()
            }
        }
        try FileSystem.remove(path)
    }

    private func take(_ file: Outgoing, from member: Int, _ group: Communicator) throws {
        let output = try OutputFile(path: file.path), buffer = ByteBuffer(count: FileStream.pieceByteCount)
        let bytes = buffer.base.assumingMemoryBound(to: UInt8.self)
        for start in stride(from: 0, to: file.byteCount, by: FileStream.pieceByteCount) {
            let count = min(FileStream.pieceByteCount, file.byteCount - start)
            try group.receive(into: bytes, count: count, from: member, tag: Self.tag).wait()
            try output.write(UnsafeRawBufferPointer(start: buffer.base, count: count))
            marker.touch()
        }
        try output.finish()
    }

    /// This rank's part, and of how many, in work on whole files that the members of a group who see them share; nil for who does not.
    func share(in group: Communicator) -> (part: Int, parts: Int)? {
        let able = group.worldRanks.filter { sees[$0] }
        return able.firstIndex(of: group.worldRank).map { ($0, able.count) }
    }

    /// Removes what this host has got, when no rank needs it any more.
    func close() {
        guard let staging, stream != nil else { return }
        try? FileSystem.remove(staging)
    }
}
