import Foundation
import LoRAMEngine
import Synchronization

/// When each rank of a node last ran, and what it was doing: written by the ranks' watchdog threads into memory that they share, so that
/// the others can tell a process that was stopped from one that waits as they do. Without MPI, which a watchdog thread may not call.
public final class NodeHeartbeats: Sendable {
    /// A rank that has not run.
    public struct Silence: Sendable, Equatable {
        /// In the whole job.
        public let rank: Int
        public let seconds: Double
        /// What it said last.
        public let lastAction: String
    }

    /// A slot a rank: nanoseconds of the monotonic clock, which is one for a node, then text. The text may be read while it is written:
    /// only a message for people shows it.
    private static let slotByteCount = 256
    private static let textOffset = 8

    private let memory: SharedNodeMemory
    private let address: UInt
    private let member: Int
    private let ranks: [Int]

    /// All ranks of the node call this. nil on all where they cannot share memory, as in containers of their own.
    public init?(node: Communicator) {
        memory = SharedNodeMemory(node: node)
        guard node.size > 1, let slots = try? memory.allocate(byteCount: node.size * Self.slotByteCount) else { return nil }
        address = UInt(bitPattern: slots)
        member = node.rank
        ranks = node.worldRanks
        beat("starting")
    }

    private func slot(_ member: Int) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: address)! + member * Self.slotByteCount }

    /// This rank runs, and does this. Any thread.
    public func beat(_ action: String) {
        let slot = slot(member), text = slot + Self.textOffset, room = Self.slotByteCount - Self.textOffset - 1
        action.utf8.withContiguousStorageIfAvailable { bytes in
            let count = min(bytes.count, room)
            text.copyMemory(from: UnsafeRawPointer(bytes.baseAddress!), byteCount: count)
            text.storeBytes(of: 0, toByteOffset: count, as: UInt8.self)
        }
        slot.storeBytes(of: monotonicNanoseconds(), as: UInt64.self)
    }

    /// The rank that has been silent longest, if that is longer than `seconds`, and whether it falls to this rank to say so: to the first
    /// of those that run.
    public func silence(longerThan seconds: Double) -> (of: Silence, isOursToTell: Bool)? {
        let now = monotonicNanoseconds()
        let all = ranks.indices.map { index in
            let slot = slot(index), beat = slot.load(as: UInt64.self)
            let bytes = UnsafeRawBufferPointer(start: slot + Self.textOffset, count: Self.slotByteCount - Self.textOffset).prefix { $0 != 0 }
            return Silence(
                rank: ranks[index], seconds: now > beat ? Double(now - beat) / 1e9 : 0, lastAction: String(decoding: bytes, as: UTF8.self))
        }
        guard let longest = all.filter({ $0.seconds > seconds }).max(by: { $0.seconds < $1.seconds }) else { return nil }
        return (longest, all.firstIndex { $0.seconds <= seconds } == member)
    }
}
