/// Puts items, in their order, into the first bin with room for them.
///
/// A tournament tree over the bins' free room finds that bin in O(log bins).
package struct FirstFitPacker {
    private let capacity: Int
    /// Node i holds the most room of any bin below it; children 2 i and 2 i + 1, leaves from `leafCount` on. Bins that were not
    /// opened yet have all their room.
    private var room: [Int]
    private var leafCount: Int
    private var placements: [(item: Int, bin: Int)] = []
    private var binCount = 0

    package init(capacity: Int) {
        self.capacity = capacity
        leafCount = 1024
        room = [Int](repeating: capacity, count: 2 * leafCount)
    }

    /// - Parameter size: 0 ... capacity.
    package mutating func add(_ item: Int, size: Int) {
        precondition(size <= capacity)
        if room[1] < size { grow() }
        var node = 1
        while node < leafCount { node = room[2 * node] >= size ? 2 * node : 2 * node + 1 }
        let bin = node - leafCount
        binCount = max(binCount, bin + 1)
        placements.append((item, bin))
        room[node] -= size
        while node > 1 {
            node /= 2
            room[node] = max(room[2 * node], room[2 * node + 1])
        }
    }

    /// Items bin after bin, and where each bin starts in them, with the end of the last.
    package func bins() -> (members: [Int], starts: [Int]) {
        var starts = [Int](repeating: 0, count: binCount + 1)
        for placement in placements { starts[placement.bin + 1] += 1 }
        for bin in 0..<binCount { starts[bin + 1] += starts[bin] }
        var members = [Int](repeating: 0, count: placements.count)
        var next = starts
        for placement in placements {
            members[next[placement.bin]] = placement.item
            next[placement.bin] += 1
        }
        return (members, starts)
    }

    private mutating func grow() {
        var larger = [Int](repeating: capacity, count: 4 * leafCount)
        for leaf in 0..<leafCount { larger[2 * leafCount + leaf] = room[leafCount + leaf] }
        leafCount *= 2
        for node in (1..<leafCount).reversed() { larger[node] = max(larger[2 * node], larger[2 * node + 1]) }
        room = larger
    }
}
