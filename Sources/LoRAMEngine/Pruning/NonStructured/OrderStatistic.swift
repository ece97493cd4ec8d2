/// Selection among scores that are not negative.
enum OrderStatistic {
    /// The `rank`-th smallest (from 0) of `count` values without a sign: their bits are ordered as they are. Three counting passes.
    static func smallest(_ values: UnsafePointer<Float>, count: Int, rank: Int) -> Float {
        precondition(0..<count ~= rank)
        var prefix: UInt32 = 0, mask: UInt32 = 0
        var rank = rank
        var histogram = [Int](repeating: 0, count: 1 << 11)
        for (shift, width) in [(21, 11), (10, 11), (0, 10)] as [(UInt32, UInt32)] {
            histogram.withUnsafeMutableBufferPointer { histogram in
                histogram.update(repeating: 0)
                let digits: UInt32 = (1 << width) &- 1
                for index in 0..<count {
                    let bits = values[index].bitPattern
                    if bits & mask == prefix { histogram[Int(bits &>> shift & digits)] &+= 1 }
                }
            }
            var digit = 0
            while rank >= histogram[digit] {
                rank -= histogram[digit]
                digit += 1
            }
            prefix |= UInt32(digit) << shift
            mask |= ((1 << width) &- 1) << shift
        }
        return Float(bitPattern: prefix)
    }

    /// Marks the `count` smallest of at most 64 scores; of equal ones the first.
    @inline(__always)
    static func markSmallest(_ count: Int, of scores: UnsafePointer<Float>, width: Int) -> UInt64 {
        var marked: UInt64 = 0
        for _ in 0..<count {
            var best = -1
            for index in 0..<width where marked >> UInt64(index) & 1 == 0 && (best < 0 || scores[index] < scores[best]) { best = index }
            marked |= 1 << UInt64(best)
        }
        return marked
    }
}
