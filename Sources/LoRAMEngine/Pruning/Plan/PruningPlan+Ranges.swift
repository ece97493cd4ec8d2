extension PruningPlan {
    /// Kept rows and columns of a layer's weight, as ascending runs of the whole model's indices that do not touch; nil: all of them.
    ///
    /// q, k, v lose rows with their heads and o columns; gate and up lose rows with their channels and down columns. lm_head stays whole.
    public func keptRanges(_ site: LinearSite, layer: Int) -> (rows: [Range<Int>]?, columns: [Range<Int>]?) {
        switch site {
        case .q: (headRanges(layer, width: groupSize * headDim), nil)
        case .k, .v: (headRanges(layer, width: headDim), nil)
        case .o: (nil, headRanges(layer, width: groupSize * headDim))
        case .gate, .up: (channelRanges(layer), nil)
        case .down: (nil, channelRanges(layer))
        case .lmHead: (nil, nil)
        }
    }

    /// - Parameter width: indices of the weight's dimension that belong to one key-value head.
    private func headRanges(_ layer: Int, width: Int) -> [Range<Int>]? {
        let heads = layers[layer].keyValueHeads
        if heads.count == sourceGeometry.keyValueHeadCount { return nil }
        return Self.runs(heads).map { $0.lowerBound * width..<$0.upperBound * width }
    }

    private func channelRanges(_ layer: Int) -> [Range<Int>]? {
        let channels = layers[layer].channels
        return channels.count == sourceGeometry.intermediateSize ? nil : Self.runs(channels)
    }

    /// `[2, 3, 4, 7]` as `[2..<5, 7..<8]`.
    static func runs(_ indices: [Int]) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        for index in indices {
            if let last = runs.last, last.upperBound == index {
                runs[runs.count - 1] = last.lowerBound..<index + 1
            } else {
                runs.append(index..<index + 1)
            }
        }
        return runs
    }
}
