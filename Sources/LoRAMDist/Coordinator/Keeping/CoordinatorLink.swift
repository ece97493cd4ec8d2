import Foundation

/// Messages between rank 0 of those that compute and a dedicated coordinator: on the whole job's communicator, where nothing else is sent
/// meanwhile.
final class CoordinatorLink {
    private static let requestTag = 6_001, answerTag = 6_002
    /// Neither side computes while it waits: both sleep up to 10 ms.
    private static let longestPauseMicroseconds = 10_000

    private let all: Communicator
    private let peer: Int
    private let marker: ProgressMarker

    init(_ all: Communicator, peer: Int, marker: ProgressMarker) {
        self.all = all
        self.peer = peer
        self.marker = marker
    }

    /// Rank 0 calls this.
    ///
    /// - Returns: the answer, where the request has one.
    /// - Throws: `MPIError.failedElsewhere` where the coordinator failed, which reports the cause itself.
    func send(_ request: CoordinatorRequest) throws -> String {
        try send(request.encoded(), tag: Self.requestTag)
        guard request.isAnswered else { return "" }
        marker.mark("waiting for the coordinator")
        let answer = try receive(tag: Self.answerTag)
        guard answer.first == 1 else { throw MPIError.failedElsewhere(rank: all.worldRanks[peer]) }
        return String(decoding: answer.dropFirst(), as: UTF8.self)
    }

    /// The coordinator calls this. `onIdle` is called while it waits.
    func next(onIdle: () throws -> Void) throws -> CoordinatorRequest {
        try withoutActuallyEscaping(onIdle) { try CoordinatorRequest.decoded(receive(tag: Self.requestTag, onIdle: $0)) }
    }

    /// The coordinator calls this after a request that has an answer. nil: it failed.
    func answer(_ text: String?) throws { try send(Data([text == nil ? 0 : 1]) + Data((text ?? "").utf8), tag: Self.answerTag) }

    private func send(_ data: Data, tag: Int) throws {
        try [Int64(data.count)].withUnsafeBufferPointer { try all.send($0.baseAddress!, count: 1, to: peer, tag: tag).wait() }
        try [UInt8](data).withUnsafeBufferPointer { try all.send($0.baseAddress!, count: $0.count, to: peer, tag: tag).wait() }
    }

    private func receive(tag: Int, onIdle: (() throws -> Void)? = nil) throws -> Data {
        let request = Request()
        func receive<Element: MPIElement>(_ count: Int, _ zero: Element) throws -> [Element] {
            var elements = [Element](repeating: zero, count: count)
            try elements.withUnsafeMutableBufferPointer {
                try all.receive(into: $0.baseAddress!, count: count, from: peer, tag: tag, request: request)
                try request.wait(longestPauseMicroseconds: Self.longestPauseMicroseconds, onIdle: onIdle)
            }
            return elements
        }
        let count = try receive(1, Int64(0))[0]
        return Data(try receive(Int(count), UInt8(0)))
    }
}
