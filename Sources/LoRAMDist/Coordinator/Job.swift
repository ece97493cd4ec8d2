import Foundation
import LoRAMEngine

/// What a command's ranks share besides the model: MPI, the watchdog, the recipe, the threads of each.
public final class Job {
    public let runtime: MPIRuntime
    public let marker: ProgressMarker
    /// With the paths by which this rank finds the files.
    public let recipe: Recipe
    public let pool: ThreadPool
    /// The same set on every rank: the best that all have, or the recipe's.
    public let kernels: ComputeKernels
    let storage: JobStorage
    /// The ranks that compute; on a dedicated coordinator it alone.
    public let world: Communicator
    /// Who keeps the run.
    public let coordinator: Coordinator
    /// To a dedicated coordinator, or on it to rank 0.
    private let link: CoordinatorLink?
    /// On a dedicated coordinator.
    private let keepingLimits: FullModelScoring.Limits?
    private let watchdog: Watchdog
    /// Pages of program and libraries, before any other file is mapped.
    private let programByteCount = Machine.residentMemory.file

    /// Runs `body` on every rank of a job that computes, or in one process where nothing launched it. Errors end the whole job.
    /// `forScoring`: see `Recipe.load`.
    public static func run(recipeFile: String?, overrides: [String], forScoring: Bool = false, _ body: (Job) throws -> Void) throws {
        let runtime = try MPIRuntime.start()
        let job = try Job(runtime, recipeFile: recipeFile, overrides: overrides, forScoring: forScoring)
        if let limits = job.keepingLimits, let link = job.link {
            try DedicatedCoordinator(job, link, limits).serve()
        } else {
            try body(job)
            if job.link != nil { try job.coordinator.tell(.end) }
        }
        job.watchdog.stop()
        try runtime.finish()
        job.storage.close()
    }

    /// Runs a command that needs one process: alone, or on rank 0 of a job while the others wait.
    public static func runOnOneProcess(_ body: () throws -> Void) throws {
        guard isLaunched else { return try body() }
        let runtime = try MPIRuntime.start()
        try runtime.world.onRoot(body)
        try runtime.finish()
    }

    /// A launcher (mpirun, srun) started this process as one of several.
    public static var isLaunched: Bool { Machine.isLaunched }

    /// Whether this process will be rank 0, as far as the launcher says so before MPI starts.
    public static var isFirstRank: Bool {
        let environment = ProcessInfo.processInfo.environment
        let rank = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"].lazy.compactMap { environment[$0] }.first
        return rank == nil || rank == "0"
    }

    /// The recipe is rank 0's: the others get it from there, so that all work by the same one.
    private init(_ runtime: MPIRuntime, recipeFile: String?, overrides: [String], forScoring: Bool) throws {
        self.runtime = runtime
        let all = runtime.world
        var own: Recipe?
        try all.together { if all.rank == 0 { own = try Recipe.load(file: recipeFile, overrides: overrides, forScoring: forScoring) } }
        let text = try all.broadcast(own.map { Data(try $0.resolvedYAML().utf8) }, root: 0)
        let given = try own ?? Recipe.load(yaml: String(decoding: text, as: UTF8.self))
        marker = ProgressMarker()
        let neighbours = try all.splitByNode(), heartbeats = NodeHeartbeats(node: neighbours)
        try neighbours.free()
        watchdog = Watchdog(
            marker: marker, limitSeconds: Double(given.watchdogSeconds), rank: all.rank, host: runtime.host, heartbeats: heartbeats)
        if given.parallel.coordinator == .dedicated {
            // A coordinator alone has nobody to compute.
            guard all.size > 1 else {
                throw TopologyError.worldSizeMismatch(
                    stages: given.parallel.stages.given ?? 1, replicas: given.parallel.replicas.given ?? 1, dedicated: true, found: 1)
            }
            try RankAgreement.checkProgram(all, host: runtime.host)
            if neighbours.size < all.size { try Self.requireCommonFiles(given, all) }
            let last = all.size - 1, isKeeping = all.rank == last, limits = try Self.keepingLimits(given, all)
            world = try all.split(color: isKeeping ? 1 : 0, key: all.rank)!
            link = isKeeping || all.rank == 0 ? CoordinatorLink(all, peer: isKeeping ? 0 : last, marker: marker) : nil
            keepingLimits = isKeeping ? limits : nil
        } else {
            world = all
            link = nil
            keepingLimits = nil
        }
        let node = try world.splitByNode()
        storage = try JobStorage(world, node: node, mode: given.parallel.storage, path: given.output ?? given.model, marker: marker)
        try node.free()
        recipe = try storage.localized(given)
        pool = try keepingLimits.map { try ThreadPool(threadCount: $0.threadCount, spinning: false) } ?? Self.makePool(recipe, world)
        kernels = try Self.chooseKernels(recipe, world)
        coordinator = Coordinator(recipe, world: world, pool: pool, link: link)
    }

    private static func chooseKernels(_ recipe: Recipe, _ world: Communicator) throws -> ComputeKernels {
        let type = ComputeType(rawValue: recipe.compute.type.rawValue)!
        guard recipe.compute.kernels == .auto else {
            return try world.together { try ComputeKernels(type: type, name: recipe.compute.kernels.rawValue) }
        }
        let names = ComputeKernels.names
        let own = names.firstIndex(of: ComputeKernels.availableNames[0])!
        let common = Int(try world.allReduce(Int64(own), .max))
        return try world.together { try ComputeKernels(type: type, name: names[common]) }
    }

    /// A dedicated coordinator opens and commits what rank 0's host holds.
    private static func requireCommonFiles(_ recipe: Recipe, _ all: Communicator) throws {
        let path = recipe.output ?? recipe.model ?? FileManager.default.currentDirectoryPath, last = all.size - 1
        let sees = try StorageProbe.find(all, path: path)
        try all.together { if all.rank == last, !sees[last] { throw StorageError.coordinatorElsewhere(rank: last, path: path) } }
    }

    /// Where others compute beside a dedicated coordinator, it leaves them the cores.
    private static func keepingLimits(_ recipe: Recipe, _ all: Communicator) throws -> FullModelScoring.Limits {
        let node = try all.splitByNode(), count = node.size
        try node.free()
        return .init(
            threadCount: recipe.parallel.threads.given ?? (count == 1 ? Machine.availableProcessorCount : 1),
            memoryByteCount: Int(Double(Machine.memoryByteCount) * NodeMap.usableFraction) / count)
    }

    /// Threads of a rank: as many as the processors it may use, shared with the ranks beside it where they are not bound apart.
    private static func makePool(_ recipe: Recipe, _ world: Communicator) throws -> ThreadPool {
        let node = try world.splitByNode()
        let available = Machine.availableProcessorCount, online = Machine.onlineProcessorCount, ranks = node.size
        try node.free()
        let fair = available * ranks <= online ? available : max(1, online / ranks)
        let threads: Int
        switch recipe.parallel.threads {
        case .auto: threads = fair
        case .value(let given): threads = given
        }
        return try world.together { try ThreadPool(threadCount: threads, spinning: threads * ranks <= online) }
    }

    /// The communicators for the recipe's grid on this job's ranks; `auto` takes one whose stages fit the memory of the ranks' machines.
    /// All ranks call this.
    ///
    /// - Parameter memories: of each stage on a grid.
    public func makeGrid(
        layers: Int, allowsReplicas: (Int) -> Bool, memories: @escaping (ParallelDims) throws -> [StageMemory]
    ) throws -> (ProcessGrid, ProcessGrid.Seat) {
        let choice = GridChoice(nodes: try NodeMap(world), layers: layers, memories: memories)
        return try makeGrid(try world.together { try choice.resolve(recipe.parallel, allowsReplicas: allowsReplicas) })
    }

    /// The communicators of a grid. All ranks call this.
    func makeGrid(_ dims: ParallelDims) throws -> (ProcessGrid, ProcessGrid.Seat) {
        let grid = try ProcessGrid(dims: dims, world: world)
        return (grid, grid.seat)
    }

    /// All ranks call this before they open files or directories, which hosts without common storage then get: see `JobStorage`.
    func stage(_ paths: [String?]) throws {
        guard storage.isLocal else { return }
        marker.mark("sending files to the hosts")
        try awaitingRankZero { try storage.stage(paths.compactMap(\.self)) }
    }

    /// All ranks call this before they read tensors of these directories: each gets those of its stages.
    func stage(tensorsOf directories: [String?], for ranges: [StageRange], config: LlamaConfig) throws {
        guard storage.isLocal else { return }
        marker.mark("sending weights to the hosts")
        try awaitingRankZero { try storage.fill(directories.compactMap(\.self), for: ranges, tied: config.tiesWordEmbeddings) }
    }

    /// Hosts get their files one after the other: all but rank 0, which always moves, wait unwatched.
    private func awaitingRankZero(_ body: () throws -> Void) throws {
        if world.rank > 0 { watchdog.setLimit(seconds: 1e8) }
        try body()
        try waitForOthers()
    }

    /// All ranks call this when model and texts are open: memory of the fullest rank's process so far, the same on all. Mapped texts are left
    /// out: their pages go when memory is short.
    public func processMemory() throws -> ProcessMemory {
        ProcessMemory(program: Int(try world.allReduce(Int64(programByteCount + Machine.residentMemory.own), .max)))
    }

    /// All ranks call this when they have done their share of a work that may last long for others. Those who work watch themselves;
    /// who waits does not move, and is not to be ended for it.
    public func waitForOthers() throws {
        isWatched = false
        try world.patientBarrier()
        isWatched = true
    }

    /// Whether this rank is to be ended when it does not move. Not while others are to move.
    var isWatched = true {
        didSet { watchdog.setLimit(seconds: isWatched ? Double(recipe.watchdogSeconds) : 1e8) }
    }

    /// A line for the user, from rank 0 only.
    public func note(_ line: String) {
        if world.rank == 0 { FileHandle.standardError.write(Data((line + "\n").utf8)) }
    }
}
