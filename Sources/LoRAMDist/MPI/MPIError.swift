import LoRAMEngine

/// What can go wrong between processes. Ranks are those of the whole job, not of a sub-communicator.
public enum MPIError: DiagnosedError, Equatable {
    /// An MPI function returned an error; `message` is MPI_Error_string's.
    case callFailed(call: String, message: String, rank: Int, peer: Int?)
    /// The library was built without support for threads beside the one that calls MPI.
    case threadsUnsupported(required: Int32, provided: Int32)
    /// A message was shorter than the receiver expected: the two sides disagree about a shape.
    case countMismatch(expected: Int, found: Int, rank: Int, peer: Int)
    /// Another rank failed in a step that all ranks do together; that rank reports the cause.
    case failedElsewhere(rank: Int)

    public var exitCode: ExitStatus { .failure }

    public var description: String {
        switch self {
        case .callFailed(let call, let message, let rank, let peer):
            let with = peer.map { " with rank \($0)" } ?? ""
            return "\(call) failed on rank \(rank)\(with): \(message)"
        case .threadsUnsupported(let required, let provided):
            return "this MPI library offers thread level \(provided), level \(required) (MPI_THREAD_FUNNELED) is needed: "
                + "use one that was built with thread support"
        case .countMismatch(let expected, let found, let rank, let peer):
            return "rank \(rank) expected a message of \(expected) elements from rank \(peer) and got \(found): "
                + "the two ranks disagree about the model or the batch; start all ranks with the same program, recipe and files"
        case .failedElsewhere(let rank):
            return "rank \(rank) failed; its own line names the cause"
        }
    }
}
