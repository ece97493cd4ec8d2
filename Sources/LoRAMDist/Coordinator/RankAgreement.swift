import Foundation
import LoRAMEngine

/// What ranks must have in common, compared before work starts and while it goes on.
enum RankAgreement {
    /// All ranks call this: the program file is the same on all.
    ///
    /// - Throws: `AgreementError.programs`, on all ranks.
    static func checkProgram(_ world: Communicator, host: String) throws {
        guard world.size > 1 else { return }
        let hash = try world.together { try ContentHash.sha256(file: "/proc/self/exe") }
        let value = Int64(bitPattern: UInt64(hash.prefix(16), radix: 16) ?? 0)
        try compare(value, in: world) { AgreementError.programs(rank: world.worldRanks[$0], hash: String(hash.prefix(12))) }
    }

    /// The replicas of a stage call this: they hold the same frozen weights, and later the same trained ones.
    ///
    /// - Throws: `AgreementError.weights`, on all replicas.
    static func checkReplicas(_ replicas: Communicator, hash: UInt64, what: String, step: Int) throws {
        guard replicas.size > 1 else { return }
        try compare(Int64(bitPattern: hash), in: replicas) { AgreementError.weights(what: what, step: step, rank: replicas.worldRanks[$0], reference: replicas.worldRanks[0]) }
    }

    /// Throws for the first member whose value differs from member 0's.
    private static func compare(_ value: Int64, in group: Communicator, _ error: (Int) -> AgreementError) throws {
        let values = try group.allGather([value])
        guard let odd = values.firstIndex(where: { $0 != values[0] }) else { return }
        try group.together { if group.rank == odd { throw error(odd) } }
    }

    /// FNV-1a over words: cheap enough for every few updates, and any flipped bit changes it.
    static func hash(_ stages: [ModelStage]) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for stage in stages {
            // Every tensor begins at a multiple of 16 elements: whole words.
            let weights = stage.trainedWeights, words = UnsafeRawPointer(weights.bytes(at: 0))
            for index in 0..<stage.layout.count * weights.dtype.byteCount / 4 {
                hash = (hash ^ UInt64(words.load(fromByteOffset: 4 &* index, as: UInt32.self))) &* 0x0000_0100_0000_01b3
            }
        }
        return hash
    }
}

enum AgreementError: DiagnosedError, Equatable {
    case programs(rank: Int, hash: String)
    case weights(what: String, step: Int, rank: Int, reference: Int)

    var exitCode: ExitStatus { .failure }

    var description: String {
        switch self {
        case .programs(let rank, let hash):
            "rank \(rank) runs another build of loram-mpi (\(hash)) than rank 0; install the same program on all hosts"
        case .weights(let what, let step, let rank, let reference):
            "after update \(step) the \(what) of rank \(rank) differ from those of rank \(reference), which holds the same stage: "
                + "a host computes or transfers wrongly, or reads another file; check its memory and files, then resume from the last checkpoint"
        }
    }
}
