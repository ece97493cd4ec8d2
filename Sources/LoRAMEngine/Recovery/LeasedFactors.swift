import Synchronization

/// A module's two factors in memory.
///
/// Unchecked: filled once.
final class FactorPair: @unchecked Sendable {
    /// [rank, in]
    let a_RI: UnsafeMutablePointer<Float>
    /// [out, rank]
    let b_OR: UnsafeMutablePointer<Float>

    init(_ module: AdapterModule, _ adapter: Adapter) throws {
        let aShape = try adapter.shape(module.aName), bShape = try adapter.shape(module.bName)
        a_RI = .allocate(capacity: max(1, aShape.reduce(1, *)))
        b_OR = .allocate(capacity: max(1, bShape.reduce(1, *)))
        try adapter.copyFloats(module.aName, shape: aShape, into: a_RI)
        try adapter.copyFloats(module.bName, shape: bShape, into: b_OR)
        adapter.release(module.aName)
        adapter.release(module.bName)
    }

    deinit {
        a_RI.deallocate()
        b_OR.deallocate()
    }
}

/// The factors of the few modules that are being merged: an adapter of a large model is too large to be held whole.
final class LeasedFactors: Sendable {
    /// Frames of neighbouring tensors are in work at the same time.
    static let keptCount = 4

    private let kept = Mutex<[(module: AdapterModule, pair: FactorPair)]>([])

    func of(_ module: AdapterModule, _ adapter: Adapter) throws -> FactorPair {
        try kept.withLock { kept in
            if let known = kept.first(where: { $0.module == module }) { return known.pair }
            let pair = try FactorPair(module, adapter)
            if kept.count == Self.keptCount { kept.removeFirst() }
            kept.append((module, pair))
            return pair
        }
    }
}
