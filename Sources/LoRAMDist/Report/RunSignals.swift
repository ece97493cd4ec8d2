import Foundation
import LoRAMEngine
import Synchronization

/// What SIGUSR1 and SIGUSR2 ask of a run: mpirun forwards both to all ranks, Slurm sends them before a job's time is up.
///
/// A handler only sets a flag. The ranks agree on it after each update, since a signal reaches them at different moments.
enum RunSignals {
    enum Request: Int64 {
        case none = 0
        /// SIGUSR1: write a checkpoint after this update, go on.
        case checkpoint = 1
        /// SIGUSR2: write a checkpoint after this update, end with exit code 0.
        case stop = 2
    }

    private static let pending = Atomic<Int>(0)

    /// Once, before the first update.
    static func install() {
        signal(SIGUSR1) { _ in RunSignals.pending.max(Int(Request.checkpoint.rawValue), ordering: .relaxed) }
        signal(SIGUSR2) { _ in RunSignals.pending.max(Int(Request.stop.rawValue), ordering: .relaxed) }
    }

    /// All ranks of the group call this after an update: the strongest request that reached any of them since the last call.
    static func take(_ group: Communicator) throws -> Request {
        let own = pending.exchange(0, ordering: .relaxed)
        return Request(rawValue: try group.allReduce(Int64(own), .max)) ?? .none
    }
}
