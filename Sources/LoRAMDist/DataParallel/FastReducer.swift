/// All-reduce by MPI's own algorithm, for any number of replicas. The order of additions, hence the last bits, depend on their
/// number and on the library.
public final class FastReducer: GradientReducer {
    private let replicas: Communicator
    private let marker: ProgressMarker
    /// Requests are made once and used again in every step.
    private var requests: [Request] = []
    private var startedCount = 0
    private var finishedCount = 0

    /// All ranks of `replicas` make one.
    public init(replicas: Communicator, marker: ProgressMarker) {
        self.replicas = replicas
        self.marker = marker
    }

    /// Dropped before the end only when the job ends with an error, which a trap must not cover up.
    deinit {
        for request in requests where request.isActive { request.abandon() }
    }

    public func start(_ range: Range<Int>, of gradient: UnsafeMutablePointer<Float>) throws {
        guard replicas.size > 1, !range.isEmpty else { return }
        if startedCount == requests.count { requests.append(Request()) }
        try replicas.startAllReduce(
            gradient + range.lowerBound, count: range.count, .sum, request: requests[startedCount])
        startedCount += 1
    }

    @discardableResult
    public func progress() throws -> Bool {
        while finishedCount < startedCount {
            guard try requests[finishedCount].test() else { return false }
            finishedCount += 1
            marker.touch()
        }
        startedCount = 0
        finishedCount = 0
        return true
    }

    public func finish() throws {
        marker.mark("reducing gradients")
        var pacer = PollPacer()
        while try !progress() { pacer.pause(progress: finishedCount) }
        marker.touch()
    }
}
