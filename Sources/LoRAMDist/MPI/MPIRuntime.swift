import Foundation
import LoRAMEngine
internal import CMPI

/// The life of MPI in this process: `start` once, early, on the main thread; `finish` at the end of a run that succeeded;
/// `MPIRuntime.end(with:)` when it failed.
///
/// Works under mpirun, under a batch system's launcher and, as a job of one rank, without any launcher. After `start` nothing
/// may fork, and only the main thread calls MPI.
public final class MPIRuntime {
    /// All ranks of the job.
    public let world: Communicator
    /// This node's name.
    public let host: String

    private init(world: Communicator, host: String) {
        self.world = world
        self.host = host
    }

    /// Initialises MPI. Throws `MPIError` when the library cannot serve a program with threads.
    public static func start() throws -> MPIRuntime {
        // A process without a launcher needs no helper daemon of Open MPI's.
        setenv("OMPI_MCA_ess_singleton_isolated", "1", 0)
        var provided: Int32 = 0
        let required = loram_mpi_thread_funneled()
        try checkMPI(loram_mpi_init_thread(required, &provided), "MPI_Init_thread", rank: 0)
        guard provided >= required else { throw MPIError.threadsUnsupported(required: required, provided: provided) }
        let world = try Communicator(handle: loram_mpi_comm_world(), isOwned: false)
        return MPIRuntime(world: world, host: hostName())
    }

    /// All ranks call this, only when all went well: a failing rank never enters a collective finalize. Waits for the other ranks
    /// without using the core.
    public func finish() throws {
        try world.patientBarrier()
        try checkMPI(MPI_Finalize(), "MPI_Finalize", rank: world.worldRank)
    }

    /// This node's name, also before `start`.
    public static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "unknown host" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
