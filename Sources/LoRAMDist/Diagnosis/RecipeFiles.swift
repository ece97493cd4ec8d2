import Foundation
import LoRAMEngine

/// Whether the machines of a job find what a recipe names.
struct RecipeFiles {
    /// What the recipe reads, as far as it names files: no preset, nothing that its own phases make.
    let inputs: [String]
    /// Of each rank: its host, and whether it sees the run directory's place as rank 0 does.
    let hosts: [String]
    let sees: [Bool]
    /// Of each rank, for each input: whether something is there.
    let present: [[Bool]]
    let storage: ParallelRecipe.Storage
    /// The run directory, or what else all read.
    let place: String

    /// All ranks call this; each gets the same.
    ///
    /// - Parameter recipe: rank 0's.
    init(_ recipe: Recipe?, world: Communicator, host: String) throws {
        let text = try world.broadcast(recipe.map { Data(try $0.resolvedYAML().utf8) }, root: 0)
        let recipe = try Recipe.load(yaml: String(decoding: text, as: UTF8.self))
        var inputs: [String] = []
        _ = recipe.mappingPaths { path, isOutput in
            if !isOutput, !inputs.contains(path) { inputs.append(path) }
            return path
        }
        inputs.removeAll { ModelPreset(rawValue: $0) != nil || $0 == recipe.data.cache || $0 == recipe.alignment.data.cache }
        self.inputs = inputs
        storage = recipe.parallel.storage
        place = recipe.output ?? recipe.model ?? FileManager.default.currentDirectoryPath
        hosts = try world.allGather(Data(host.utf8)).map { String(decoding: $0, as: UTF8.self) }
        sees = try StorageProbe.find(world, path: place)
        present = try world.allGather(Data(inputs.map { FilePath.exists($0) ? 1 : 0 })).map { $0.map { $0 == 1 } }
    }

    /// One line each: what is missing where, and what to do.
    var findings: [String] {
        var lines: [String] = []
        for (index, path) in inputs.enumerated() where !present[0][index] {
            lines.append("\(path): expected a file or directory that the recipe names, found none on \(hosts[0]); mend the path, or put it there")
        }
        for (host, ranks) in Dictionary(grouping: hosts.indices, by: { hosts[$0] }).sorted(by: { $0.value[0] < $1.value[0] }) {
            let first = ranks[0]
            if storage == .local || (storage == .auto && !sees[first]) {
                guard host != hosts[0] else { continue }
                lines.append("\(host) does not share \(place) with \(hosts[0]): its ranks are sent what they read at every start; mount common storage there to spare that")
            } else {
                if !sees[first] {
                    lines.append("\(host) does not share \(place) with \(hosts[0]), but parallel.storage is shared: mount it there, or set parallel.storage: auto")
                }
                for (index, path) in inputs.enumerated() where present[0][index] && !present[first][index] {
                    lines.append("\(path): expected on \(host) as on \(hosts[0]), found none; mount it there, or set parallel.storage: local")
                }
            }
        }
        return lines
    }
}
