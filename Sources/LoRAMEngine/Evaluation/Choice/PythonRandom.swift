/// The random numbers of Python's `random.Random(seed)`: MT19937, seeded by an array of one word. lm-evaluation-harness draws its
/// few-shot examples with it.
///
/// Source: M. Matsumoto and T. Nishimura, "Mersenne Twister", 1998 (init_by_array); CPython's random.py for `sample`.
package struct PythonRandom {
    private var state = [UInt32](repeating: 0, count: 624)
    private var index = 624

    package init(seed: UInt32) {
        state[0] = 19_650_218
        for i in 1..<624 { state[i] = 1_812_433_253 &* (state[i - 1] ^ state[i - 1] >> 30) &+ UInt32(i) }
        var i = 1
        for _ in 0..<624 {
            state[i] = (state[i] ^ (state[i - 1] ^ state[i - 1] >> 30) &* 1_664_525) &+ seed
            i += 1
            if i == 624 { (state[0], i) = (state[623], 1) }
        }
        for _ in 0..<623 {
            state[i] = (state[i] ^ (state[i - 1] ^ state[i - 1] >> 30) &* 1_566_083_941) &- UInt32(i)
            i += 1
            if i == 624 { (state[0], i) = (state[623], 1) }
        }
        state[0] = 0x8000_0000
    }

    private mutating func word() -> UInt32 {
        if index == 624 {
            for i in 0..<624 {
                let y = state[i] & 0x8000_0000 | state[(i + 1) % 624] & 0x7fff_ffff
                state[i] = state[(i + 397) % 624] ^ y >> 1 ^ (y & 1 == 0 ? 0 : 0x9908_b0df)
            }
            index = 0
        }
        var y = state[index]
        index += 1
        y ^= y >> 11
        y ^= y << 7 & 0x9d2c_5680
        y ^= y << 15 & 0xefc6_0000
        return y ^ y >> 18
    }

    /// Uniform on 0 ..< bound, for bounds from 1 to 2^31.
    mutating func below(_ bound: Int) -> Int {
        let bits = Int.bitWidth - bound.leadingZeroBitCount
        while true {
            let value = Int(word() >> UInt32(32 - bits))
            if value < bound { return value }
        }
    }

    /// `sample(range(population), count)`: distinct numbers in random order.
    package mutating func sample(_ population: Int, _ count: Int) -> [Int] {
        precondition(count <= population)
        // Python copies small populations and remembers what it took from large ones; the draws differ.
        var poolLimit = 21
        if count > 5 {
            var power = 1
            while power < 3 * count { power *= 4 }
            poolLimit += power
        }
        if population <= poolLimit {
            var pool = Array(0..<population)
            return (0..<count).map { taken in
                let place = below(population - taken)
                defer { pool[place] = pool[population - taken - 1] }
                return pool[place]
            }
        }
        var taken: Set<Int> = []
        return (0..<count).map { _ in
            while true {
                let place = below(population)
                if taken.insert(place).inserted { return place }
            }
        }
    }
}
