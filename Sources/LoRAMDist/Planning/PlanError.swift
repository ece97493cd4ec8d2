import LoRAMEngine

/// A setting that cannot be planned, or that does not fit.
public enum PlanError: DiagnosedError, Equatable {
    case badArgument(name: String, expected: String, found: String)
    /// A product of numbers that are each allowed.
    case tooLarge(what: String, found: Double, limit: Double)
    /// No grid of a cluster fits. `least`: of the grid that needs the least, on the node that needs most; `remedy`: what would fit.
    case nothingFits(nodes: Int, memoryByteCount: Int, least: Int, remedy: String)
    /// No grid over so many ranks can be, whatever the memory.
    case noGrid(nodes: Int, cores: Int, layers: Int)

    public var exitCode: ExitStatus { .usage }

    public var description: String {
        switch self {
        case .badArgument(let name, let expected, let found):
            "--\(name): expected \(expected), found \(found)"
        case .tooLarge(let what, let found, let limit):
            "\(what): expected at most \(Formatting.count(limit)), found \(Formatting.count(found)); lower batch.global / batch.micro, batch.micro or data.length"
        case .nothingFits(let nodes, let memory, let least, let remedy):
            "no grid fits \(nodes) node\(nodes == 1 ? "" : "s") of \(Formatting.bytes(memory)): the one that needs the least takes "
                + "\(Formatting.bytes(least)) on a node; \(remedy)"
        case .noGrid(let nodes, let cores, let layers):
            "no grid of stages x replicas can be made of the ranks of \(nodes) nodes with \(cores) cores and a model of \(layers) layers: replicas are "
                + "a power of two that divides the gradient groups; raise parallel.groups, or set parallel.reduction=fast"
        }
    }
}
