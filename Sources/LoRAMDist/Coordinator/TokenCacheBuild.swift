import Foundation
import LoRAMEngine

/// Fills the token cache with a phase's datasets, all ranks together.
enum TokenCacheBuild {
    /// All ranks call this, with the same sources. Returns them with their entries' parts, where they have any.
    static func fill(_ job: Job, _ sources: [DataConfiguration.Source], _ options: TokenCacheBuilder.Options) throws -> [DataConfiguration.Source] {
        let world = job.world
        return try sources.map { source in
            job.marker.mark("making tokens of the data")
            let builder = TokenCacheBuilder(path: source.path, format: source.format, options: options)
            let own = try world.together { try builder.hashes(rank: world.rank, of: world.size) }
            let hashes = try world.allGather(Data(own.joined(separator: "\n").utf8)).map {
                String(decoding: $0, as: UTF8.self).split(separator: "\n").map(String.init)
            }
            let entry = try world.together { try builder.entry(hashes: hashes) }
            guard entry.isUseful else { return source }
            // Rank 0 decides, so that all do the same, whenever they see the files.
            let isComplete = try world.allReduce(Int64(world.rank == 0 && entry.parts != nil ? 1 : 0), .max) > 0
            if !isComplete {
                job.note("making tokens of \(source.path), kept in \(entry.path)")
                try world.together { try entry.writePart(rank: world.rank, of: world.size) }
                try world.onRoot { try entry.commit(partCount: world.size) }
            }
            var result = source
            result.format = entry.format
            result.cachedParts = entry.parts
            return result
        }
    }
}
