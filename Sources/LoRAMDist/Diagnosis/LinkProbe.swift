import Foundation
import LoRAMEngine

/// Latency and bandwidth between the first ranks of a job's machines: a tournament, in each round of which every machine has one partner.
struct LinkProbe {
    struct Speed {
        let peer: Int
        /// Half of a round trip of 8 bytes.
        let microseconds: Double
        /// Both directions at once, of one.
        let gigabytesPerSecond: Double
    }

    private static let tag = 9_101
    private static let messageCount = 1 << 20
    private static let repeats = 8

    let world: Communicator
    /// One a machine.
    let ranks: [Int]
    let reports: [Doctor.RankReport]
    let limitSeconds: Double
    let marker: ProgressMarker

    /// All ranks call this: what this rank measured, with each partner.
    func run() throws -> [Speed] {
        var speeds: [Speed] = []
        // The circle method: position 0 stays, the others turn. An odd number gets an empty seat.
        let seats = ranks + (ranks.count % 2 == 1 ? [-1] : [])
        for round in 0..<max(0, seats.count - 1) {
            marker.mark("waiting for all to begin a round of measuring links")
            try world.patientBarrier()
            let turned = [seats[0]] + (0..<seats.count - 1).map { seats[1 + ($0 + round) % (seats.count - 1)] }
            guard let place = turned.firstIndex(of: world.rank) else { continue }
            let peer = turned[seats.count - 1 - place]
            if peer >= 0 { speeds.append(try measure(peer)) }
        }
        marker.mark("waiting for all to end measuring links")
        try world.patientBarrier()
        return speeds
    }

    private func measure(_ peer: Int) throws -> Speed {
        let out = UnsafeMutablePointer<Float>.allocate(capacity: Self.messageCount), input = UnsafeMutablePointer<Float>.allocate(capacity: Self.messageCount)
        defer {
            out.deallocate()
            input.deallocate()
        }
        out.initialize(repeating: 1, count: Self.messageCount)
        input.initialize(repeating: 0, count: Self.messageCount)
        func exchange(_ count: Int) throws -> Double {
            marker.mark("measuring a link", peer: peer)
            let start = ContinuousClock.now
            let receive = try world.receive(into: input, count: count, from: peer, tag: Self.tag)
            let send = try world.send(out, count: count, to: peer, tag: Self.tag)
            for request in [receive, send] {
                while try !request.test() {
                    if (ContinuousClock.now - start) / .seconds(1) > limitSeconds { throw dead(peer) }
                }
            }
            return (ContinuousClock.now - start) / .seconds(1)
        }
        _ = try exchange(2)
        let latency = try (0..<Self.repeats).map { _ in try exchange(2) }.min()!
        _ = try exchange(Self.messageCount)
        let transfer = try (0..<Self.repeats).map { _ in try exchange(Self.messageCount) }.min()!
        return Speed(peer: peer, microseconds: latency * 1e6, gigabytesPerSecond: Double(Self.messageCount * 4) / transfer * 1e-9)
    }

    private func dead(_ peer: Int) -> DoctorError {
        let own = reports[world.rank], other = reports[peer]
        return .linkDead(
            rank: own.rank, host: own.host, interfaces: own.interfaces, peer: peer, peerHost: other.host, peerInterfaces: other.interfaces,
            seconds: limitSeconds)
    }
}
