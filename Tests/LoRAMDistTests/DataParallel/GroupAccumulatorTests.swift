import LoRAMDist
import TestSupport
import Testing

struct GroupAccumulatorTests {
    /// The balanced tree by definition.
    private func tree(_ groups: ArraySlice<[Float]>) -> [Float] {
        guard groups.count > 1 else { return groups[groups.startIndex] }
        let middle = groups.startIndex + groups.count / 2
        return zip(tree(groups[..<middle]), tree(groups[middle...])).map { $0 + $1 }
    }

    @Test(arguments: [1, 2, 4, 8, 16], [1, 3, 8, 1_001])
    func addsInTheTreesOrder(groupCount: Int, count: Int) {
        let accumulator = GroupAccumulator(count: count, groupCount: groupCount)
        for step in 0..<2 {
            accumulator.reset()
            var groups: [[Float]] = []
            for group in 0..<groupCount {
                #expect(accumulator.isLastGroup == (group == groupCount - 1))
                var sum = [Float](repeating: 0, count: count)
                for microBatch in 0..<3 {
                    for index in 0..<count {
                        let value = RepeatableValues.float(step * 100 + group * 3 + microBatch, index)
                        accumulator.current[index] += value
                        sum[index] += value
                    }
                }
                // The last group finishes its tail in parts.
                if group == groupCount - 1 {
                    accumulator.finishTail(from: count)
                    accumulator.finishTail(from: count * 2 / 3)
                    accumulator.finishTail(from: count / 4)
                }
                accumulator.finishGroup()
                groups.append(sum)
            }
            #expect(Array(UnsafeBufferPointer(start: accumulator.total, count: count)) == tree(groups[...]))
        }
    }

    /// The parts that a tail finish has passed are final while the rest is still being added to.
    @Test func aFinishedTailIsFinal() {
        let accumulator = GroupAccumulator(count: 10, groupCount: 2)
        accumulator.reset()
        for index in 0..<10 { accumulator.current[index] = 1 }
        accumulator.finishGroup()
        for index in 5..<10 { accumulator.current[index] = 2 }
        accumulator.finishTail(from: 5)
        #expect((5..<10).allSatisfy { accumulator.total[$0] == 3 })
        for index in 0..<5 { accumulator.current[index] = 4 }
        accumulator.finishGroup()
        #expect(Array(UnsafeBufferPointer(start: accumulator.total, count: 10)) == [5, 5, 5, 5, 5, 3, 3, 3, 3, 3])
    }
}
