import Foundation
import LoRAMDist
import TestSupport

let messagingScenarios = [
    // COUNT floats between all neighbours of a ring, in both directions at once.
    Scenario(name: "ring") { runtime, arguments in
        let world = runtime.world
        let count = try arguments.integer(0)
        let right = (world.rank + 1) % world.size
        let left = (world.rank + world.size - 1) % world.size
        let sent = (0..<2).map { direction in (0..<count).map { RepeatableValues.float(2 * world.rank + direction, $0) } }
        var fromLeft = [Float](repeating: 0, count: count)
        var fromRight = fromLeft
        try fromLeft.withUnsafeMutableBufferPointer { fromLeft in
            try fromRight.withUnsafeMutableBufferPointer { fromRight in
                let requests = [
                    try world.send(sent[0], count: count, to: right, tag: 1),
                    try world.send(sent[1], count: count, to: left, tag: 2),
                    try world.receive(into: fromLeft.baseAddress!, count: count, from: left, tag: 1),
                    try world.receive(into: fromRight.baseAddress!, count: count, from: right, tag: 2),
                ]
                var polls = 0
                for request in requests { try request.wait { polls += 1 } }
                try require(requests.allSatisfy { !$0.isActive }, "a request is active after its wait")
            }
        }
        for index in 0..<count {
            try require(fromLeft[index] == RepeatableValues.float(2 * left, index), "element \(index) from the left")
            try require(fromRight[index] == RepeatableValues.float(2 * right + 1, index), "element \(index) from the right")
        }
    },
    // Messages of several element types cut into pieces of at most LIMIT elements, and empty ones.
    Scenario(name: "pieces") { runtime, arguments in
        let world = runtime.world
        world.countLimit = try arguments.integer(0)
        for count in [0, 1, world.countLimit - 1, world.countLimit, world.countLimit + 1, 5 * world.countLimit + 3] {
            try exchange(world, (0..<count).map { UInt8(truncatingIfNeeded: $0 + world.rank) })
            try exchange(world, (0..<count).map { Int64($0) << 33 + Int64(world.rank) })
            try exchange(world, (0..<count).map { Double($0) + Double(world.rank) / 16 })
        }
        let message = Data((0..<100).map { UInt8($0) })
        try require(try world.broadcast(world.rank == 0 ? message : nil, root: 0) == message, "broadcast in pieces")
        let sums = UnsafeMutablePointer<Int64>.allocate(capacity: 50)
        for index in 0..<50 { sums[index] = Int64(index * (world.rank + 1)) }
        try world.allReduce(sums, count: 50, .sum)
        let ranks = world.size * (world.size + 1) / 2
        for index in 0..<50 { try require(sums[index] == Int64(index * ranks), "all-reduce in pieces, element \(index)") }
        sums.deallocate()
        let gathered = try world.allGather((0..<20).map { Float(100 * world.rank + $0) })
        try require(
            gathered == (0..<world.size).flatMap { rank in (0..<20).map { Float(100 * rank + $0) } }, "all-gather in pieces")
    },
    // Rank 0 sends fewer elements than rank 1 expects.
    Scenario(name: "short-message") { runtime, _ in
        let world = runtime.world
        var values = [Float](repeating: 1, count: 10)
        if world.rank == 0 {
            try world.send(values, count: 5, to: 1, tag: 7).wait()
        } else {
            try world.receive(into: &values, count: 10, from: 0, tag: 7).wait()
        }
        try world.barrier()
    },
    // Rank 0 sends more elements than rank 1 has room for.
    Scenario(name: "long-message") { runtime, _ in
        let world = runtime.world
        var values = [Float](repeating: 1, count: 10)
        if world.rank == 0 {
            try world.send(values, count: 10, to: 1, tag: 7).wait()
        } else {
            try world.receive(into: &values, count: 5, from: 0, tag: 7).wait()
        }
        try world.barrier()
    },
    // A request that is dropped before anything could complete it.
    Scenario(name: "dropped-request") { runtime, _ in
        let buffer = UnsafeMutablePointer<Float>.allocate(capacity: 1)
        _ = try runtime.world.receive(into: buffer, count: 1, from: 0, tag: 5)
        print("went on")
    },
    // A failing call names itself, the rank and the peer.
    Scenario(name: "bad-tag") { runtime, _ in
        let buffer = UnsafeMutablePointer<Float>.allocate(capacity: 1)
        try runtime.world.send(buffer, count: 1, to: runtime.world.size - 1, tag: -77).wait()
    },
]

/// Mirror-image ranks send each other `values` and compare with what all-gather says.
private func exchange<Element: MPIElement & Equatable>(_ world: Communicator, _ values: [Element]) throws {
    let all = try world.allGather(values)
    let partner = world.size - 1 - world.rank
    let buffer = UnsafeMutablePointer<Element>.allocate(capacity: max(1, values.count))
    defer { buffer.deallocate() }
    try values.withUnsafeBufferPointer { own in
        let base = own.baseAddress ?? UnsafePointer(buffer)
        let sending = try world.send(base, count: own.count, to: partner, tag: 3)
        try world.receive(into: buffer, count: own.count, from: partner, tag: 3).wait()
        try sending.wait()
    }
    let received = Array(UnsafeBufferPointer(start: buffer, count: values.count))
    let start = partner * values.count
    try require(received == Array(all[start..<start + values.count]), "\(Element.self) x \(values.count)")
}
