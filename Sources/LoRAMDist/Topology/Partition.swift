import LoRAMEngine

/// A cut of a model's layers into contiguous stages such that the most expensive stage is as cheap as possible.
///
/// The embedding goes with the first layer. The head closes the last stage and may be all of it (its layer range is then empty):
/// on a pruned model with a large vocabulary the head alone costs more than seven layers. Every other stage has a layer.
public struct Partition: Sendable, Equatable {
    /// Layers of each stage, in order; the last may be empty (head only).
    public let layers: [Range<Int>]
    /// Cost of each stage, embedding and head included.
    public let costs: [Double]

    public var stages: Int { layers.count }

    public func range(stage: Int) -> StageRange {
        StageRange(layers: layers[stage], isFirst: stage == 0, isLast: stage == stages - 1)
    }
    public var largestCost: Double { costs.max() ?? 0 }
    /// Mean cost over largest cost: the share of time that the stages compute if the schedule had no bubble.
    public var efficiency: Double {
        largestCost > 0 ? costs.reduce(0, +) / (Double(costs.count) * largestCost) : 1
    }

    /// Exact: minimises the largest stage cost; among the cuts that reach it, the sum of squared costs; among those, the first
    /// found. The same input gives the same cut everywhere. Costs in any unit, per layer, in order.
    /// Throws `TopologyError.tooManyStages`, `.notPositive`, `.badCost`.
    public init(layerCosts: [Double], embeddingCost: Double, headCost: Double, stages: Int) throws(TopologyError) {
        guard stages > 0 else { throw .notPositive(key: "parallel.stages", found: stages) }
        guard stages <= layerCosts.count else { throw .tooManyStages(stages: stages, layers: layerCosts.count) }
        // The head is a unit of its own behind the layers.
        var units = layerCosts + [headCost]
        units[0] += embeddingCost
        for (index, cost) in units.enumerated() where !(cost.isFinite && cost >= 0) {
            throw .badCost(index: index, found: cost)
        }
        var prefix = [0.0]
        for cost in units { prefix.append(prefix[prefix.count - 1] + cost) }
        let ends = Self.bestEnds(prefix: prefix, parts: stages)
        var start = 0
        var ranges: [Range<Int>] = []
        var costs: [Double] = []
        for end in ends {
            ranges.append(start..<min(end, layerCosts.count))
            costs.append(prefix[end] - prefix[start])
            start = end
        }
        layers = ranges
        self.costs = costs
    }

    /// End (exclusive) of each part in the units whose running sums are `prefix`, by dynamic programming over
    /// (parts, units): first the smallest reachable maximum, then, under that bound, the smallest sum of squares.
    private static func bestEnds(prefix: [Double], parts: Int) -> [Int] {
        let count = prefix.count - 1
        var bound = (0...count).map { prefix[$0] }
        bound[0] = .infinity
        for part in stride(from: 2, through: parts, by: 1) {
            var next = [Double](repeating: .infinity, count: count + 1)
            for end in part...count {
                for start in part - 1..<end {
                    next[end] = min(next[end], max(bound[start], prefix[end] - prefix[start]))
                }
            }
            bound = next
        }
        let largest = bound[count]

        var squares = [Double](repeating: .infinity, count: count + 1)
        squares[0] = 0
        var starts = [[Int]](repeating: [Int](repeating: 0, count: count + 1), count: parts)
        for part in 0..<parts {
            var next = [Double](repeating: .infinity, count: count + 1)
            for end in part + 1...count {
                for start in part..<end {
                    let cost = prefix[end] - prefix[start]
                    guard cost <= largest else { continue }
                    let sum = squares[start] + cost * cost
                    if sum < next[end] {
                        next[end] = sum
                        starts[part][end] = start
                    }
                }
            }
            squares = next
        }
        var ends: [Int] = []
        var end = count
        for part in stride(from: parts - 1, through: 0, by: -1) {
            ends.append(end)
            end = starts[part][end]
        }
        return ends.reversed()
    }
}
